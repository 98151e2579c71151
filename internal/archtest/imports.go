package archtest

import (
	"slices"
	"strings"
)

// imports checks the arrows inside the module and the fences around it.
func (c *checker) imports(p *folder) {
	from := c.area(p.path)
	if from == nil {
		c.report(p.files[0].Package, "folder %s is in no area: add it to the arrows in internal/archtest", name(p.path))
		return
	}
	for _, file := range p.files {
		for _, spec := range file.Imports {
			imported := importPath(spec)
			if inside, ours := c.inModule(imported); ours {
				if !c.allowed(from, inside, file.test) {
					c.report(spec.Pos(), "%s imports %s: the arrow %s → %s is not allowed",
						name(p.path), name(inside), name(from.Folder), name(c.folderOf(inside)))
				}
				continue
			}
			checkFence(c, p, file, imported, spec.Pos())
		}
	}
}

// area is the innermost area of a folder.
func (c *checker) area(folder string) *Area {
	var best *Area
	for i := range c.rules.Areas {
		area := &c.rules.Areas[i]
		if area.Folder == folder {
			return area
		}
		if area.Folder != "" && within(folder, area.Folder) && (best == nil || len(area.Folder) > len(best.Folder)) {
			best = area
		}
	}
	return best
}

func (c *checker) folderOf(folder string) string {
	if area := c.area(folder); area != nil {
		return area.Folder
	}
	return folder
}

func (c *checker) inModule(imported string) (folder string, ours bool) {
	if !within(imported, c.module.path) {
		return "", false
	}
	return strings.TrimPrefix(strings.TrimPrefix(imported, c.module.path), "/"), true
}

func (c *checker) allowed(from *Area, imported string, test bool) bool {
	to := c.folderOf(imported)
	return to == from.Folder || slices.Contains(from.Imports, to) || test && slices.Contains(c.rules.ForTests, to)
}

// name is a folder as people call it.
func name(folder string) string {
	if folder == "" {
		return "the root package"
	}
	return folder
}
