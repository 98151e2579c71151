// Package docstest reads the Markdown files of the module and reports what has
// stopped being true in them: links to files and headings that do not exist, Go
// code that stands in no compiled file, functions that a document names as file:function
// and that the file does not declare, commands whose program or make target is
// gone, a README that has grown too long to be read.
//
//	problems, err := docstest.Check(os.DirFS("../.."))
//
// It fetches nothing, so it says nothing about links to other hosts, and it does
// not run the commands.
package docstest
