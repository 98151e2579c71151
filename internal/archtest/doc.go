// Package archtest reads the Go sources of a module and reports where they break
// its architecture: imports against the arrows, third-party packages outside
// their fence, types of such packages in an exported signature, packages and
// exported identifiers without a comment, comments that link to names which do not
// exist or that take a thing for a person, init functions.
//
//	violations, err := archtest.Check(os.DirFS("../.."), archtest.Stele())
//
// It also measures the tree, see [Measure]: `make measures` prints that.
//
// The rules of this module stand in rules.go. The files are parsed here, one by
// one: asking the go command instead would be served from the test cache, which
// does not know the files it read, and would pass with a forbidden import present.
//
// The package does no type checking. Its check of exported signatures follows names inside
// one package. That is enough because no package exports types of the fenced modules for
// another to pass on.
package archtest
