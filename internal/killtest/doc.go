// Package killtest runs a test program once more, as a child that a test may kill, halt
// and let go on. Only real processes show what is left of one that ends in the midst of its
// work.
//
//	func TestMain(m *testing.M) {
//		killtest.Main(map[string]killtest.Role{"append": appendForEver})
//		goleak.VerifyTestMain(m)
//	}
//
//	func TestKilled(t *testing.T) {
//		child := killtest.Start(t, "append", path)
//		line, _ := child.Line()
//		…
//		child.Kill()
//	}
//
// A child and its test talk by lines, on the child's standard input and output. Its standard
// error goes to the output of the test.
package killtest
