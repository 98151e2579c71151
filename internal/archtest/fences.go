package archtest

import (
	"go/token"
	"slices"
	"strings"
)

// checkFence checks one import of a package that is not ours.
func checkFence(c *checker, p *folder, file *file, imported string, at token.Pos) {
	for _, fence := range c.rules.Fences {
		if !within(imported, fence.Module) {
			continue
		}
		inside := slices.ContainsFunc(fence.Within, func(folder string) bool { return within(p.path, folder) })
		switch {
		case !inside && !(fence.Tests && file.test):
			c.report(at, "%s imports %s: only %s may, because %s",
				name(p.path), imported, fence.who(), fence.Reason)
		case len(fence.Packages) > 0 && !slices.Contains(fence.Packages, imported):
			c.report(at, "%s imports %s: of this module only %s is used",
				name(p.path), imported, strings.Join(fence.Packages, ", "))
		}
	}
}

func (f Fence) who() string {
	who := strings.Join(f.Within, ", ")
	if f.Tests {
		return "tests and " + who
	}
	return who
}

// checkInits checks that nothing happens before main. Generated code may: it
// registers its messages so.
func checkInits(c *checker, p *folder) {
	for _, file := range p.files {
		if file.generated {
			continue
		}
		for _, function := range functions(file) {
			if function.Recv == nil && function.Name.Name == "init" {
				c.report(function.Pos(), "init function: what a package needs at the start is asked for by its caller")
			}
		}
	}
}
