package prooph

import (
	"errors"
	"strconv"
	"strings"

	"github.com/stele-es/stele/persistence"
)

// fitter makes events of rows, by the rules of journals and the policies.
type fitter struct {
	config Config
	// checking goes on behind a row that is refused, to find all others.
	checking bool
	report   *Report
	lines    map[persistence.StreamID]*line
}

func newFitter(config Config, checking bool) *fitter {
	return &fitter{config: config, checking: checking, report: &Report{}, lines: map[persistence.StreamID]*line{}}
}

// fit makes an event of a row, or none when the row is left out. The error is a
// [*RefusedError].
func (f *fitter) fit(t *table, r *row) (persistence.Recorded, bool, error) {
	f.report.Rows++
	c := candidate{fitter: f, table: t, row: r}
	event := c.event()
	if c.left && c.refused == nil {
		f.report.Skipped++
	}
	return event, c.fits(), c.refusal()
}

// metadata is that of the whole stream that a table is. It reports false when it
// cannot be kept, or the stream cannot be.
func (f *fitter) metadata(t *table) (persistence.Metadata, bool, error) {
	c := candidate{fitter: f, table: t, row: &row{metadata: t.metadata}, stream: f.stream(t, nil)}
	c.checkStream()
	m := c.metadata()
	return m, c.fits(), c.refusal()
}

// missing tells of a table that is not there.
func (f *fitter) missing(t *table) error {
	c := candidate{fitter: f, table: t, row: &row{}}
	c.found(Missing, nil)
	return c.refusal()
}

// stream is the name that a row's stream has here.
func (f *fitter) stream(t *table, r *row) persistence.StreamID {
	name := t.name
	if r != nil && f.splits(t) && r.aggregateType != nil && r.aggregateID != nil {
		name = *r.aggregateType + "-" + *r.aggregateID
	}
	if f.config.Rename != nil {
		name = f.config.Rename(name)
	}
	return persistence.StreamID(name)
}

func (f *fitter) splits(t *table) bool { return f.config.Split && t.strategy == SingleStream }

// candidate is a row on its way to an event.
type candidate struct {
	*fitter
	table   *table
	row     *row
	stream  persistence.StreamID
	claimed persistence.Version
	left    bool // out, by policy
	refused error
}

// refusal counts a refused row, and is the error that ends an import there.
func (c *candidate) refusal() error {
	if c.refused == nil {
		return nil
	}
	c.report.Refused++
	if c.checking {
		return nil
	}
	return c.refused
}

func (c *candidate) fits() bool { return !c.left && c.refused == nil }

// event checks the row from the outside in: where it belongs, what it holds, its
// place among the others.
func (c *candidate) event() persistence.Recorded {
	c.stream = c.fitter.stream(c.table, c.row)
	c.checkAggregate()
	c.checkStream()
	if !c.fits() {
		return persistence.Recorded{}
	}
	l := c.line()
	if !c.fits() {
		return persistence.Recorded{}
	}
	c.claimed = c.claim()
	at, inTime := c.row.time()
	if !inTime {
		c.found(Value, &persistence.InvalidError{Field: "time", Reason: "is out of range"})
	}
	event := persistence.Recorded{Stream: c.stream, At: at}
	event.ID, event.Type, event.Payload = c.row.id, c.row.name, c.row.payload
	event.Metadata = c.metadata()
	c.checkContent(&event)
	event.Version = c.place(l)
	return event
}

// checkAggregate looks whether a row that is split off says where it belongs.
func (c *candidate) checkAggregate() {
	if !c.splits(c.table) {
		return
	}
	kind := c.row.aggregateType
	switch {
	case kind == nil || *kind == "":
		c.found(Name, &persistence.InvalidError{Field: "_aggregate_type", Reason: "is missing"})
	case c.row.aggregateID == nil || *c.row.aggregateID == "":
		c.found(Name, &persistence.InvalidError{Field: "_aggregate_id", Reason: "is missing"})
	case c.config.Rename == nil && strings.Contains(*kind, "-"):
		c.found(Name, &persistence.InvalidError{Field: "_aggregate_type", Reason: `holds a "-", which would end the stream's category`})
	}
}

func (c *candidate) checkStream() {
	if err := c.stream.Check(); c.fits() && err != nil {
		c.found(Name, err)
	}
}

// line is the one of the row's stream, which is to have rows of one table only.
func (c *candidate) line() *line {
	l := c.lines[c.stream]
	if l == nil {
		l = &line{table: c.table.number}
		c.lines[c.stream] = l
	}
	if l.table != c.table.number {
		c.found(Shared, nil)
	}
	return l
}

// claim is the version that the row says it has, or 0.
func (c *candidate) claim() persistence.Version {
	counts := c.table.strategy == AggregateStream || c.splits(c.table)
	if !counts || c.row.version == nil {
		return 0
	}
	version, err := strconv.ParseInt(*c.row.version, 10, 64)
	if err != nil || version < 1 {
		c.found(Version, nil)
		return 0
	}
	return persistence.Version(version)
}

func (c *candidate) metadata() persistence.Metadata {
	m, err := metadata(c.row.metadata)
	if err == nil {
		return m
	}
	if c.config.Policies[Metadata] == Mend {
		repaired, unmended := mended(c.row.metadata)
		if unmended != nil {
			c.refuse(Metadata, unmended)
			return nil
		}
		m = repaired
	}
	c.found(Metadata, err)
	return m
}

// checkContent applies the rules that journals have for an event.
func (c *candidate) checkContent(event *persistence.Recorded) {
	if event.ID == (persistence.EventID{}) {
		c.found(Value, &persistence.InvalidError{Field: "event id", Reason: "is zero"})
	}
	if strings.HasPrefix(event.Type, "$") {
		c.found(Name, &persistence.InvalidError{Field: "type", Reason: `names that begin with "$" belong to the system`})
		return
	}
	whole := persistence.Append{Stream: event.Stream, Events: []persistence.Event{event.Event}}
	whole.Events[0].Metadata = nil // is checked
	err := whole.Check()
	if invalid, ok := errors.AsType[*persistence.InvalidError](err); ok && invalid.Field == "type" {
		c.found(Name, invalid)
	} else if ok {
		c.found(Value, invalid)
	}
}

// place gives the row its version in the stream, unless it is left out.
func (c *candidate) place(l *line) persistence.Version {
	if problem := l.problem(c.claimed); problem != 0 {
		c.found(problem, nil)
		if c.config.Policies[problem] == Skip {
			return 0 // as if it had never been
		}
	}
	l.pass(c.claimed)
	if !c.fits() {
		return 0
	}
	if l.head++; l.head == 1 {
		c.report.Streams++
	}
	if c.claimed != 0 && c.claimed != l.head {
		c.report.Renumbered++
	}
	return l.head
}

// found counts a problem and does what its policy says.
func (c *candidate) found(problem Problem, err error) {
	policy := c.config.Policies[problem]
	if policy == Refuse {
		c.refuse(problem, err)
		return
	}
	c.report.add(c.finding(problem, policy, err))
	c.left = c.left || policy == Skip
}

func (c *candidate) refuse(problem Problem, err error) {
	finding := c.finding(problem, Refuse, err)
	c.report.add(finding)
	if c.refused == nil {
		c.refused = &RefusedError{Finding: finding}
	}
}

func (c *candidate) finding(problem Problem, policy Policy, err error) Finding {
	return Finding{Problem: problem, Table: c.table.name, No: c.row.no, Stream: c.stream, Claimed: c.claimed, Policy: policy, Err: err}
}
