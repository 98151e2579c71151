package sqlite

import "log/slog"

// Config says where the journal lies and how careful it is.
type Config struct {
	// Path is the journal's file. Its directory must exist, on a local disk; the
	// file is created when it is missing.
	Path string
	// Relaxed acknowledges before the disk has flushed (PRAGMA synchronous=NORMAL).
	// What was acknowledged then survives the end of the process, but a failure of
	// power or of the operating system may take the last appends back. The file
	// stays sound. The default is to flush.
	Relaxed bool
	// ReadOnly opens a journal that is there to be read alone, also beside the program
	// that has it open: it takes no lock and changes nothing, and what would store is
	// [*persistence.InvalidError]. It serves checks, exports and tools. The default is
	// to write.
	ReadOnly bool
	// Logger gets what no caller is told: a checkpoint that failed, a file that had
	// to be opened again. The default is slog.Default().
	Logger *slog.Logger
}
