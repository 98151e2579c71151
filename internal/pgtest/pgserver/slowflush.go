package pgserver

import (
	_ "embed" // the C source of the library
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// SlowFlush makes a durable server whose flushes of the log, for which commits wait, take
// longer by a time, as on slower disks. Server.SlowDown changes that time. SlowFlush needs
// Linux and a C compiler, because the server gets a library in front of the system's. Start
// fails without them.
func SlowFlush(longer time.Duration) Option {
	return func(o *options) {
		Durable(o)
		o.settings["wal_sync_method"] = "fdatasync" // which the server uses for the log only
		o.flush = longer
	}
}

//go:embed slowflush/flush.c
var slowFlushSource []byte

// flushFile is the file in a server's directory that says how much longer flushes take.
func flushFile(directory string) string { return filepath.Join(directory, "flush") }

// compileSlowFlush makes the library in a directory and returns the settings
// of the environment that put it before the system's.
func compileSlowFlush(directory string, longer time.Duration) ([]string, error) {
	source, library := filepath.Join(directory, "flush.c"), filepath.Join(directory, "flush.so")
	if err := errors.Join(os.WriteFile(source, slowFlushSource, 0o600), writeFlush(directory, longer)); err != nil {
		return nil, err
	}
	compile := exec.Command("cc", "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl") //nolint:noctx // a second's work
	if out, err := compile.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("slow flushes need a C compiler: %w: %s", err, out)
	}
	// Another user may run the server.
	if err := os.Chmod(library, 0o755); err != nil { //nolint:gosec // it is no secret
		return nil, err
	}
	return []string{"LD_PRELOAD=" + library, "STELE_FLUSH_FILE=" + flushFile(directory)}, nil
}

func writeFlush(directory string, longer time.Duration) error {
	text := strconv.FormatInt(longer.Microseconds(), 10)
	return os.WriteFile(flushFile(directory), []byte(text), 0o644) //nolint:gosec // another user may run the server
}
