package main

import (
	"strings"
	"testing"
	"time"
)

func TestReport(t *testing.T) {
	t.Parallel()
	const ok = `{"Action":"output","Package":"example.org/m/n/a","Test":"TestA","Output":"=== RUN\n"}
{"Action":"pass","Package":"example.org/m/n/a","Test":"TestA","Elapsed":1.5}
{"Action":"pass","Package":"example.org/m/n/a","Elapsed":2}
`
	cases := map[string]struct {
		in    string
		well  bool
		has   []string
		lacks string
	}{
		"what passed is a line": {in: ok, well: true, has: []string{"ok       2.0s a\n", "1.5s a TestA", "1 passed, 0 failed, 0 skipped\n"}, lacks: "=== RUN"},
		"what failed is shown": {
			in: ok + `{"Action":"output","Package":"example.org/m/n/b","Test":"TestB","Output":"it broke\n"}
{"Action":"fail","Package":"example.org/m/n/b","Test":"TestB","Elapsed":1}
{"Action":"fail","Package":"example.org/m/n/b","Elapsed":1}
`,
			has: []string{"it broke\n", "FAIL     1.0s b\n", "1 passed, 1 failed, 0 skipped\n"},
		},
		"a package that does not compile fails": {
			in:  ok + `{"Action":"build-output","ImportPath":"example.org/m/n/c","Output":"c.go:1: syntax error\n"}` + "\n" + `{"Action":"fail","Package":"example.org/m/n/c"}` + "\n",
			has: []string{"syntax error", "FAIL     0.0s c\n"},
		},
		"a test that never ended is named": {
			in: ok + `{"Action":"output","Package":"example.org/m/n/d","Test":"TestD","Output":"hanging\n"}
{"Action":"fail","Package":"example.org/m/n/d","Elapsed":600}
`,
			has: []string{"did not end: TestD\nhanging\n", "1 passed, 1 failed, 0 skipped\n"},
		},
		"skipped tests are named": {
			in:   ok + `{"Action":"skip","Package":"example.org/m/n/a","Test":"TestE","Elapsed":0}` + "\n",
			well: true, has: []string{"skipped a TestE\n", "1 passed, 0 failed, 1 skipped\n"},
		},
		"no test at all is a failure":           {in: "", has: []string{"no test ran"}},
		"what the go command says goes through": {in: "go: cannot find module\n" + ok, well: true, has: []string{"go: cannot find module\n"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			r := &report{out: &out, output: map[[2]string][]string{}}

			if err := r.read(strings.NewReader(c.in)); err != nil {
				t.Fatal(err)
			}

			if well := r.finish(time.Second); well != c.well {
				t.Errorf("well is %t", well)
			}
			for _, want := range c.has {
				if !strings.Contains(out.String(), want) {
					t.Errorf("%q is missing in:\n%s", want, out.String())
				}
			}
			if c.lacks != "" && strings.Contains(out.String(), c.lacks) {
				t.Errorf("%q stands in:\n%s", c.lacks, out.String())
			}
		})
	}
}
