package docstest_test

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/docstest"
)

func TestDocuments(t *testing.T) {
	t.Parallel()

	problems, err := docstest.Check(os.DirFS("../.."))

	require.NoError(t, err)
	for _, problem := range problems {
		t.Error(problem)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()

	cases := map[string]struct {
		files map[string]string
		want  []string
	}{
		"links that resolve": {
			files: map[string]string{
				"README.md": "# The name, in short\n\n[a](docs/a.md) [b](docs/a.md#one-two) [c](#the-name-in-short) " +
					"[folder](docs) [out](https://example.org/x) `[no](link)`\n",
				"docs/a.md": "# One two\n[up](../README.md)\n",
			},
		},
		"a link to nothing": {
			files: map[string]string{"docs/a.md": "x\n\n[a](b.md)\n"},
			want:  []string{"docs/a.md:3: link to b.md: there is no such file"},
		},
		"a link to a heading that is gone": {
			files: map[string]string{"README.md": "[a](a.md#two)\n[b](#three)\n", "a.md": "# One\n```\n# two\n```\n"},
			want:  []string{"README.md:1: link to a.md#two: there is no such heading", "README.md:2: link to #three"},
		},
		"functions in their files": {
			files: map[string]string{
				"a.md":   "1. `a/a.go:f` of `a/a.go` and `b.go` 2. `a/a.go:T.m` 3. `a/a.go:G.m`\n",
				"a/a.go": "package a\n\nfunc f() {}\n\nfunc (*T) m() {}\n\nfunc (g *G[A, B]) m() {}\n",
			},
		},
		"functions that have moved": {
			files: map[string]string{
				"a.md":   "x\n`a/a.go:m`\n`a/a.go:T.f`\n`a/b.go:f`\n`a/b/c.sql`\n",
				"a/a.go": "package a\n\nfunc f() {}\n\nfunc (*T) m() {}\n",
			},
			want: []string{
				"a.md:2: a/a.go:m: the file declares no such function", "a.md:3: a/a.go:T.f: the file declares no such function",
				"a.md:4: a/b.go: there is no such file", "a.md:5: a/b/c.sql: there is no such file",
			},
		},
		"folders": {
			files: map[string]string{"a.md": "`a/` and `a/b/` are there\n`a/c/` is not\n", "a/b/x.go": "package b\n"},
			want:  []string{"a.md:2: a/c/: there is no such folder"},
		},
		"code from a compiled file": {
			files: map[string]string{
				"README.md": "```go\nfunc f() {\n\tg()\n…\n\t}\n```\n",
				"a/a.go":    "package a\n\n\tfunc f() {\n\t\tg()\n\t\th()\n\t}\n",
			},
		},
		"code that was never compiled": {
			files: map[string]string{
				"README.md":       "x\n```go\nfunc f() {}\n```\n",
				"a/testdata/a.go": "func f() {}\n",
				"a/a.go":          "func f() { g() }\n",
			},
			want: []string{"README.md:2: this Go code stands in no compiled file"},
		},
		"code in another order than compiled": {
			files: map[string]string{"README.md": "```go\nb\n…\na\n```\n", "a.go": "a\nb\n"},
			want:  []string{"README.md:1: this Go code"},
		},
		"commands that exist": {
			files: map[string]string{
				"README.md":     "```sh\ngo run ./cmd/x --flag ./other   # comment\nmake test\nmake bench BENCH='-quick x'\n```\n",
				"cmd/x/main.go": "package main\n",
				"Makefile":      "X := 1\ntest: ## it\n\techo\nbench: test\n",
			},
		},
		"commands that are gone": {
			files: map[string]string{
				"README.md": "```sh\ngo run ./cmd/x\nmake tset\n```\n```\nmake no\n```\n```text\nmake sense\n```\n",
				"Makefile":  "test:\n",
			},
			want: []string{
				"README.md:2: go run ./cmd/x: there is no such program",
				"README.md:3: make tset: there is no such target",
				"README.md:6: make no",
			},
		},
		"a README that nobody reads to the end": {
			files: map[string]string{"README.md": strings.Repeat("x\n", docstest.MaxReadmeLines+1)},
			want:  []string{"README.md:251: 251 lines, at most 250"},
		},
		"what is not ours": {
			files: map[string]string{
				".git/a.md": "[a](b.md)\n", "testdata/a.md": "[a](b.md)\n", "tools/go.mod": "", "tools/a.md": "[a](b.md)\n",
			},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			fsys := fstest.MapFS{}
			for name, text := range c.files {
				fsys[name] = &fstest.MapFile{Data: []byte(text)}
			}

			problems, err := docstest.Check(fsys)

			require.NoError(t, err)
			require.Len(t, problems, len(c.want), "%v", problems)
			for i, want := range c.want {
				require.Contains(t, problems[i].String(), want)
			}
		})
	}
}
