package pgserver

import (
	_ "embed" // the C source of the library
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// SlowFlush makes a durable server that takes this much longer for each flush to
// the disk, as slower disks do. It needs Linux and a C compiler: the server gets
// a library of its own in front of the system's. Start fails without.
func SlowFlush(longer time.Duration) Option {
	return func(o *options) {
		Durable(o)
		o.flush = longer
	}
}

//go:embed slowflush/flush.c
var slowFlushSource []byte

// compileSlowFlush makes the library in a directory and returns the settings
// of the environment that put it before the system's.
func compileSlowFlush(directory string, longer time.Duration) ([]string, error) {
	source, library := filepath.Join(directory, "flush.c"), filepath.Join(directory, "flush.so")
	if err := os.WriteFile(source, slowFlushSource, 0o600); err != nil {
		return nil, err
	}
	compile := exec.Command("cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl") //nolint:noctx // a second's work
	if out, err := compile.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("slow flushes need a C compiler: %w: %s", err, out)
	}
	// Who runs the server may be another user.
	if err := os.Chmod(library, 0o755); err != nil { //nolint:gosec // it is no secret
		return nil, err
	}
	return []string{"LD_PRELOAD=" + library, fmt.Sprintf("STELE_FLUSH_MICROSECONDS=%d", longer.Microseconds())}, nil
}
