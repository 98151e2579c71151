package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/stele-es/stele/internal/sqlitefile"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journalkit"
)

// logSwollen is the size of a log that something keeps from beginning anew.
const logSwollen = 2 * logLimit

// shownLines bounds what is told of a damaged file.
const shownLines = 10

// Check fulfils [persistence.Checker]. It looks at the file by SQLite's own
// quick_check, or integrity_check when it is full, at the settings, the lock, the
// file system and the log, and at events and streams. A full check keeps the log
// from beginning anew while it looks at the file. A file that was replaced or written over
// is the only finding then.
func (j *Journal) Check(ctx context.Context, options persistence.CheckOptions) ([]persistence.Finding, error) {
	settings, err := j.checkSettings(ctx)
	if replaced, ok := errors.AsType[*persistence.ReplacedError](err); ok {
		return []persistence.Finding{{Severity: persistence.Fault, Check: "file", Text: replaced.Error(), Fix: "end the program, and start it on the right file"}}, nil
	}
	if err != nil {
		return nil, err
	}
	all := append(settings, j.checkLock(), j.checkPlace(), j.checkNames(), j.checkLog())
	for _, look := range []func(context.Context, persistence.CheckOptions) (persistence.Finding, error){
		j.checkFile, j.checkStreams,
		func(ctx context.Context, options persistence.CheckOptions) (persistence.Finding, error) {
			return journalkit.CheckEvents(ctx, j, options)
		},
	} {
		finding, err := look(ctx, options)
		if err != nil {
			return nil, err
		}
		all = append(all, finding)
	}
	return all, nil
}

// checkSettings asks the connection that writes what it works with.
func (j *Journal) checkSettings(ctx context.Context) ([]persistence.Finding, error) {
	if j.config.ReadOnly {
		return j.checkSettingsFromOutside(ctx)
	}
	if err := j.lockToWrite(ctx); err != nil {
		return nil, err
	}
	defer j.unlock()
	mode, err := j.writer.firstOf("PRAGMA journal_mode")
	if err != nil {
		return nil, definite(err)
	}
	var level, version int64
	if err := errors.Join(j.writer.integers("PRAGMA synchronous", &level), j.writer.integers("PRAGMA user_version", &version)); err != nil {
		return nil, definite(err)
	}
	durability := persistence.Finding{Check: "durability", Text: fmt.Sprintf("journal_mode = %v, synchronous = %d", mode[0], level)}
	switch {
	case mode[0] != "wal" || level < 1 || level < 2 && !j.config.Relaxed:
		durability.Severity = persistence.Fault
		durability.Fix = "open the journal again, and find out what has changed its settings"
	case j.config.Relaxed:
		durability.Severity = persistence.Warning
		durability.Text += ": the newest events may be lost with the machine, which Config.Relaxed allows"
		durability.Fix = "do not set Config.Relaxed"
	}
	return []persistence.Finding{durability, {Check: "schema", Text: fmt.Sprintf("at migration %d", version)}}, nil
}

// checkSettingsFromOutside is for who only reads: how careful a program is that writes
// belongs to its connection.
func (j *Journal) checkSettingsFromOutside(ctx context.Context) ([]persistence.Finding, error) {
	var version int64
	durability := persistence.Finding{Check: "durability"}
	err := j.reading(ctx, func(r *reader) error {
		mode, err := r.firstOf("PRAGMA journal_mode")
		if err != nil {
			return err
		}
		durability.Text = fmt.Sprintf("journal_mode = %v; the program that writes knows the rest", mode[0])
		if mode[0] != "wal" {
			durability.Severity = persistence.Fault
			durability.Fix = "open the journal again, and find out what has changed its settings"
		}
		return r.integers("PRAGMA user_version", &version)
	})
	if err != nil {
		return nil, err
	}
	return []persistence.Finding{durability, {Check: "schema", Text: fmt.Sprintf("at migration %d", version)}}, nil
}

// checkLock looks whether the file that is locked is still the one that another
// process would try to lock.
func (j *Journal) checkLock() persistence.Finding {
	finding := persistence.Finding{Check: "lock", Text: "held"}
	if j.config.ReadOnly {
		finding.Text = "not taken, to read alone"
		return finding
	}
	held, err := j.lock.file.Stat()
	if there, other := os.Stat(j.file + ".lock"); err != nil || other != nil || !os.SameFile(held, there) {
		finding.Severity = persistence.Fault
		finding.Text = "the file beside the journal's was removed: a second process can open the journal"
		finding.Fix = "end all but one process that use the journal, and leave the lock's file alone"
	}
	return finding
}

func (j *Journal) checkPlace() persistence.Finding {
	finding := persistence.Finding{Check: "file system", Text: "local"}
	directory := filepath.Dir(j.file)
	switch {
	case remote(directory):
		finding.Severity = persistence.Fault
		finding.Text = "of another machine, which loses locks and flushes"
		finding.Fix = "move the file to a local disk"
	case volatile(directory):
		finding.Severity = persistence.Warning
		finding.Text = "in memory: the file ends with the machine"
		finding.Fix = "move the file to a disk"
	}
	return finding
}

// checkNames looks for hard links: the log stands beside one name only.
func (j *Journal) checkNames() persistence.Finding {
	finding := persistence.Finding{Check: "names", Text: "the file has one"}
	if n := sqlitefile.Names(j.file); n > 1 {
		finding.Severity = persistence.Fault
		finding.Text = fmt.Sprintf("the file has %d (hard links): whoever opens it by another one damages it, because the log stands beside one of them", n)
		finding.Fix = "remove the other names"
	}
	return finding
}

func (j *Journal) checkLog() persistence.Finding {
	finding := persistence.Finding{Check: "log", Text: "empty"}
	info, err := os.Stat(j.file + "-wal")
	if err != nil {
		return finding // there is none
	}
	finding.Text = fmt.Sprintf("%d MiB", info.Size()>>20)
	if info.Size() > logSwollen {
		finding.Severity = persistence.Warning
		finding.Text += ", because another program keeps reading what is old"
		finding.Fix = "end the transactions of other programs that have the file open"
	}
	return finding
}

// checkFile has SQLite look at its pages.
func (j *Journal) checkFile(ctx context.Context, options persistence.CheckOptions) (persistence.Finding, error) {
	finding := persistence.Finding{Check: "file"}
	form := "quick_check"
	if options.Full {
		form = "integrity_check"
	}
	var lines []string
	err := j.reading(ctx, func(r *reader) error {
		return r.eachUntil(ctx, fmt.Sprintf("PRAGMA %s(%d)", form, shownLines), func(row []driver.Value) bool {
			lines = append(lines, fmt.Sprint(row[0]))
			return true
		})
	})
	if ctx.Err() != nil {
		return finding, journalkit.CallerLeft(ctx)
	}
	if err != nil && !errors.Is(err, persistence.ErrCorrupt) {
		return finding, err
	}
	if err != nil {
		lines = append(lines, err.Error())
	}
	finding.Text = form + " says " + strings.Join(lines, "; ")
	if len(lines) != 1 || lines[0] != "ok" {
		finding.Severity = persistence.Fault
		finding.Fix = "restore the file from a backup, and distrust the disk"
	}
	return finding, nil
}

// checkStreams looks at the newest streams, or at all, page by page.
func (j *Journal) checkStreams(ctx context.Context, options persistence.CheckOptions) (persistence.Finding, error) {
	after, versions := int64(0), int64(-1)
	if !options.Full {
		versions = journalkit.CheckedVersions
		var last int64
		if err := j.reading(ctx, func(r *reader) error { return r.integers("SELECT coalesce(max(stream_id), 0) FROM main.stream", &last) }); err != nil {
			return persistence.Finding{}, err
		}
		after = max(0, last-journalkit.CheckedStreams)
	}
	var faults []string
	for before := int64(-1); after > before; {
		before = after
		err := j.reading(ctx, func(r *reader) error {
			return r.eachOf(query("check_streams"), []driver.Value{before, int64(journalkit.CheckedStreams), versions}, func(row []driver.Value) bool {
				after, _ = row[0].(int64)
				if fault, wrong := row[1].(string); wrong {
					faults = append(faults, fault)
				}
				return true
			})
		})
		if err != nil {
			return persistence.Finding{}, err
		}
	}
	return journalkit.StreamsFinding(faults, options), nil
}
