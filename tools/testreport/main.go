// Command testreport makes a page that a person can read of what go test -json
// prints:
//
//	go test -json ./... | go -C tools run ./testreport
//
// Each package has a line when it ends. The output of what failed follows it; that
// of what passed is left out. The end lists the slowest packages and tests, the
// skipped tests by name, and the counts, whose last line is "N passed, N failed, N
// skipped". The exit code is 1 when something failed or no test ran.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"strings"
	"time"
)

// slowest is how many packages and how many tests the report names.
const slowest = 10

// event is a line of go test -json, see go doc test2json.
type event struct {
	Action     string
	Package    string
	ImportPath string // of build output, in place of Package
	Test       string
	Elapsed    float64 // seconds
	Output     string
}

// timing is how long something ran.
type timing struct {
	name    string
	seconds float64
}

// report collects what the events say.
type report struct {
	out                     io.Writer
	output                  map[[2]string][]string // of a test, or of a package under the test ""
	packages, tests         []timing
	skips                   []string
	passed, failed, skipped int
	broken                  bool // a package failed, perhaps without a test of its own that did
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("testreport: ")
	r := &report{out: os.Stdout, output: map[[2]string][]string{}}
	started := time.Now()
	if err := r.read(os.Stdin); err != nil {
		log.Fatal(err)
	}
	if !r.finish(time.Since(started)) {
		os.Exit(1)
	}
}

func (r *report) read(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil || e.Action == "" {
				fmt.Fprint(r.out, string(line)) // of the go command itself
			} else {
				r.add(&e)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (r *report) add(e *event) {
	key := [2]string{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "output":
		r.output[key] = append(r.output[key], e.Output)
	case "pass", "fail", "skip":
		if e.Test != "" {
			r.endTest(e)
		} else {
			r.endPackage(e)
		}
		delete(r.output, key)
	}
}

func (r *report) endTest(e *event) {
	if !strings.Contains(e.Test, "/") {
		r.tests = append(r.tests, timing{short(e.Package) + " " + e.Test, e.Elapsed})
	}
	switch e.Action {
	case "pass":
		r.passed++
	case "skip":
		r.skipped++
		r.skips = append(r.skips, short(e.Package)+" "+e.Test)
	default:
		r.failed++
		r.print(e)
	}
}

func (r *report) endPackage(e *event) {
	switch e.Action {
	case "pass":
		if !r.ranNothing(e) {
			r.packages = append(r.packages, timing{short(e.Package), e.Elapsed})
			fmt.Fprintf(r.out, "ok    %6.1fs %s\n", e.Elapsed, short(e.Package))
		}
	case "fail":
		r.broken = true
		r.packages = append(r.packages, timing{short(e.Package), e.Elapsed})
		r.print(e)
		fmt.Fprintf(r.out, "FAIL  %6.1fs %s\n", e.Elapsed, short(e.Package))
		r.printUnfinished(e.Package)
	}
}

// ranNothing recognises a package of which no test was chosen.
func (r *report) ranNothing(e *event) bool {
	return slices.ContainsFunc(r.output[[2]string{e.Package, ""}], func(line string) bool {
		return strings.Contains(line, "[no tests to run]")
	})
}

// printUnfinished shows the output of tests that have no end: the process died, or
// its time was over.
func (r *report) printUnfinished(name string) {
	for key, lines := range r.output {
		if key[0] == name && key[1] != "" {
			r.failed++
			if !strings.HasPrefix(lines[len(lines)-1], "=== PAUSE") { // else it had not begun
				fmt.Fprintf(r.out, "--- did not end: %s\n%s", key[1], strings.Join(lines, ""))
			}
			delete(r.output, key)
		}
	}
}

func (r *report) print(e *event) {
	fmt.Fprint(r.out, strings.Join(r.output[[2]string{e.Package, e.Test}], ""))
}

// finish prints the end of the report, and reports whether all is well.
func (r *report) finish(took time.Duration) bool {
	r.printSlowest("slowest packages", r.packages)
	r.printSlowest("slowest tests", r.tests)
	for _, name := range r.skips {
		fmt.Fprintln(r.out, "skipped", name)
	}
	fmt.Fprintf(r.out, "\n%d packages in %s\n", len(r.packages), took.Round(time.Second))
	if r.passed == 0 {
		fmt.Fprintln(r.out, "no test ran")
	}
	fmt.Fprintf(r.out, "%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
	return r.passed > 0 && r.failed == 0 && !r.broken
}

func (r *report) printSlowest(title string, timings []timing) {
	slices.SortFunc(timings, func(a, b timing) int { return cmp.Compare(b.seconds, a.seconds) })
	fmt.Fprintf(r.out, "\n%s\n", title)
	for _, t := range timings[:min(slowest, len(timings))] {
		fmt.Fprintf(r.out, "  %6.1fs %s\n", t.seconds, t.name)
	}
}

// short is the path of a package inside the module.
func short(path string) string {
	parts := strings.SplitN(path, "/", 4)
	return cmp.Or(parts[len(parts)-1], path)
}
