//go:build !linux

package sqlite

// remote is not known here: what the documentation asks for is not checked.
func remote(string) bool { return false }

// volatile is not known here either.
func volatile(string) bool { return false }
