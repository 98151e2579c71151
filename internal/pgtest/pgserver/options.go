package pgserver

import (
	"maps"
	"slices"
	"time"
)

// Missing says what to do when there is no server. It is the text of the errors that say so.
const Missing = "no Postgres: set STELE_TEST_POSTGRES, or install the server binaries (Debian: apt-get install postgresql)"

// MissingPooler says what to do when there is no PgBouncer.
const MissingPooler = "no PgBouncer: install it (Debian: apt-get install pgbouncer)"

// Option changes how a server is started.
type Option func(*options)

type options struct {
	settings map[string]string
	durable  bool
	flush    time.Duration // longer than the disk needs
}

func newOptions(list []Option) *options {
	o := &options{settings: map[string]string{
		"listen_addresses": "",
		// A killed process loses nothing by these, because its pages belong to the kernel.
		"fsync":            "off",
		"full_page_writes": "off",
		// Journals check this setting, which decides what an acknowledgement means.
		"synchronous_commit": "on",
		"max_connections":    "500",
		"lc_messages":        "C",
		// Files of the server's directory, which go with it.
		"dynamic_shared_memory_type": "mmap",
		"max_wal_size":               "256MB", // it may be in memory
		"log_min_messages":           "fatal",
		"log_statement":              "none",
	}}
	for _, option := range list {
		option(o)
	}
	return o
}

// Durable makes the server flush to the disk, which honest benchmarks need.
func Durable(o *options) {
	o.durable = true
	o.settings["fsync"] = "on"
	o.settings["full_page_writes"] = "on"
	delete(o.settings, "max_wal_size")
}

// Setting sets a configuration parameter of the server.
func Setting(name, value string) Option {
	return func(o *options) { o.settings[name] = value }
}

func (o *options) arguments() []string {
	arguments := make([]string, 0, 2*len(o.settings))
	for _, name := range slices.Sorted(maps.Keys(o.settings)) {
		arguments = append(arguments, "-c", name+"="+o.settings[name])
	}
	return arguments
}
