// Package systemtest holds the tests of a whole node: what only a program sees that uses
// several packages at once, on every journal. A test of one package stands beside that
// package. Each file is named by the promise that it checks.
package systemtest
