//go:build !linux

package sqlitefile

// mounted is not known here.
func mounted(string) bool { return false }
