package archtest

import (
	"go/ast"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// Phrase is a sentence that is hard to read, in a form that a pattern finds.
type Phrase struct {
	File string // the path from the module's root
	Line int    // of the comment, the text or the paragraph
	// Form names the pattern, Sentence is the sentence that it matches.
	Form, Sentence string
}

// forms are the worst forms of English that a pattern can find. The patterns see one sentence
// at a time; a question is no sentence of these.
var forms = []struct {
	name    string
	pattern *regexp.Regexp
}{
	{"opens with its object", regexp.MustCompile(`^(Of|To|For|From|With|By|In|On|At|About|Behind|Beside|Before|After|Until) (what|whom|whose|that which)\b`)},
	{"opens with What or Who in place of a noun", regexp.MustCompile(`^(What|Who|Whom|Whoever|Whatever|Whose)\b`)},
	{"says what something is without a noun", regexp.MustCompile(`\b(is|are|was|were) (what|who|whom|how (many|much|long|often|far))\b`)},
	{"has no noun before what or whom", regexp.MustCompile(`\b(beside|behind|before|after|around|until|for all|than|like) (what|whom)\b|\b(to|from|for|by|with|at|of) whom\b|\bthat of what\b`)},
}

// English lists the phrases in the comments, error texts and log texts of a module whose root
// is fsys, and in its documents. Tests and generated code are left out.
func English(fsys fs.FS) ([]Phrase, error) {
	m, err := load(fsys)
	if err != nil {
		return nil, err
	}
	e := &english{fset: m.fset}
	for _, p := range m.packages {
		for _, f := range p.sources() {
			if !f.generated {
				e.source(f)
			}
		}
	}
	err = fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && skipped(fsys, name):
			return fs.SkipDir
		case path.Ext(name) != ".md":
			return nil
		}
		data, err := fs.ReadFile(fsys, name)
		if err == nil {
			e.document(name, string(data))
		}
		return err
	})
	return e.found, err
}

type english struct {
	fset  *token.FileSet
	found []Phrase
}

func (e *english) source(f *file) {
	for _, group := range f.Comments {
		var text strings.Builder
		for line := range strings.Lines(group.Text()) {
			if !strings.HasPrefix(line, "\t") { // code
				text.WriteString(line)
			}
		}
		e.text(group.Pos(), text.String())
	}
	ast.Inspect(f.File, func(n ast.Node) bool {
		if call, is := n.(*ast.CallExpr); is {
			e.message(call)
		}
		return true
	})
}

// messages are the functions whose first text is an error or goes to the log.
var messages = map[string]bool{
	"New": true, "Errorf": true,
	"Debug": true, "Info": true, "Warn": true, "Error": true,
	"DebugContext": true, "InfoContext": true, "WarnContext": true, "ErrorContext": true,
}

func (e *english) message(call *ast.CallExpr) {
	function, is := call.Fun.(*ast.SelectorExpr)
	if !is || !messages[function.Sel.Name] {
		return
	}
	for _, argument := range call.Args {
		if literal, is := argument.(*ast.BasicLit); is && literal.Kind == token.STRING {
			if text, err := strconv.Unquote(literal.Value); err == nil && text != "" {
				e.text(literal.Pos(), strings.ToUpper(text[:1])+text[1:])
			}
			return
		}
	}
}

func (e *english) text(at token.Pos, text string) {
	place := e.fset.Position(at)
	e.sentences(place.Filename, place.Line, text)
}

// document looks at the prose of a Markdown file, paragraph by paragraph.
func (e *english) document(name, text string) {
	var paragraph strings.Builder
	start, fenced := 1, false
	flush := func(next int) {
		e.sentences(name, start, paragraph.String())
		paragraph.Reset()
		start = next
	}
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = codePattern.ReplaceAllString(line, "code")
		switch trimmed := strings.TrimSpace(line); {
		case strings.HasPrefix(trimmed, "```"):
			fenced = !fenced
			flush(number + 1)
		case fenced:
		case trimmed == "" || strings.HasPrefix(trimmed, "#"):
			flush(number + 1)
		case strings.HasPrefix(trimmed, "|"):
			for cell := range strings.SplitSeq(trimmed, "|") {
				flush(number)
				paragraph.WriteString(strings.TrimSpace(cell))
			}
			flush(number + 1)
		case strings.HasPrefix(trimmed, "- "):
			flush(number)
			paragraph.WriteString(trimmed[2:] + " ")
		default:
			paragraph.WriteString(trimmed + " ")
		}
	}
	flush(number)
}

// codePattern is code inside of a sentence.
var codePattern = regexp.MustCompile("`[^`]+`")

// sentenceEnd is where a sentence ends and another one may begin.
var sentenceEnd = regexp.MustCompile(`[.!?:]["')]?\s+|\n\s*\n`)

func (e *english) sentences(name string, line int, text string) {
	for len(text) > 0 {
		end := len(text)
		if at := sentenceEnd.FindStringIndex(text); at != nil {
			end = at[1]
		}
		sentence := strings.Join(strings.Fields(text[:end]), " ")
		text = text[end:]
		if strings.HasSuffix(sentence, "?") {
			continue
		}
		for _, form := range forms {
			if form.pattern.MatchString(sentence) {
				e.found = append(e.found, Phrase{File: name, Line: line, Form: form.name, Sentence: sentence})
				break
			}
		}
	}
}
