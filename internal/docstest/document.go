package docstest

import (
	"regexp"
	"strings"
	"unicode"
)

// document holds the parts of a Markdown file that the checks need.
type document struct {
	name    string
	lines   int
	links   []link
	blocks  []block
	anchors map[string]bool
	places  []place
	folders []link
}

// place is code that a document names, as a file in a folder or as file:function.
type place struct {
	line           int
	file, function string
}

type link struct {
	line   int
	target string
}

// block is fenced code: line is that of the fence.
type block struct {
	line     int
	language string
	lines    []string
}

var (
	linkPattern   = regexp.MustCompile(`\[[^\]]*\]\(([^()\s]+)\)`)
	inlinePattern = regexp.MustCompile("`[^`]*`")
	placePattern  = regexp.MustCompile("`([A-Za-z0-9_.-]+/[A-Za-z0-9_./-]+\\.(?:go|proto|sql))(?::([A-Za-z0-9_.]+))?`")
	folderPattern = regexp.MustCompile("`([A-Za-z0-9_-][A-Za-z0-9_.-]*/(?:[A-Za-z0-9_.-]+/)*)`")
)

func parse(name, text string) *document {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	d := &document{name: name, lines: len(lines), anchors: map[string]bool{}}
	var open *block
	for i, line := range lines {
		fence, language, found := strings.Cut(strings.TrimSpace(line), "```")
		switch {
		case found && fence == "" && open == nil:
			open = &block{line: i + 1, language: strings.TrimSpace(language)}
		case found && fence == "":
			d.blocks = append(d.blocks, *open)
			open = nil
		case open != nil:
			open.lines = append(open.lines, line)
		default:
			d.prose(i+1, line)
		}
	}
	return d
}

func (d *document) prose(number int, line string) {
	if heading := strings.TrimLeft(line, "#"); heading != line && strings.HasPrefix(heading, " ") {
		d.anchors[anchor(heading)] = true
	}
	for _, found := range linkPattern.FindAllStringSubmatch(inlinePattern.ReplaceAllString(line, ""), -1) {
		d.links = append(d.links, link{line: number, target: found[1]})
	}
	for _, found := range placePattern.FindAllStringSubmatch(line, -1) {
		d.places = append(d.places, place{number, found[1], found[2]})
	}
	for _, found := range folderPattern.FindAllStringSubmatch(line, -1) {
		d.folders = append(d.folders, link{number, found[1]})
	}
}

// anchor is the name that forges give to a heading: lower case, punctuation
// dropped, spaces as dashes.
func anchor(heading string) string {
	var out strings.Builder
	for _, r := range strings.ToLower(strings.TrimSpace(heading)) {
		switch {
		case r == ' ' || r == '-':
			out.WriteByte('-')
		case r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			out.WriteRune(r)
		}
	}
	return out.String()
}

var targetPattern = regexp.MustCompile(`(?m)^([a-z][a-z-]*):`)

func makeTargets(text string) map[string]bool {
	targets := map[string]bool{}
	for _, found := range targetPattern.FindAllStringSubmatch(text, -1) {
		targets[found[1]] = true
	}
	return targets
}
