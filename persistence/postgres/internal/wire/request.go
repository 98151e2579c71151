package wire

import "encoding/binary"

// Statement is a statement of SQL that is sent again and again.
type Statement struct {
	// Name is the name under which connections prepare it.
	Name string
	// SQL is its text.
	SQL string
	// Parameters counts what Bind is followed by.
	Parameters int
}

// Requests builds requests of the extended protocol, one behind the other.
type Requests struct {
	Values
	// Unnamed says that each statement goes out with its text, because connections do
	// not prepare it.
	Unnamed bool

	start int // where the length of the message under construction stands
}

// Bind begins the execution of a statement. The values of its parameters follow, then
// [Requests.Execute].
func (r *Requests) Bind(s Statement) {
	name := s.Name
	if r.Unnamed {
		name = ""
		r.parse(s.SQL)
	}
	r.begin('B')
	r.buf = append(r.buf, 0) // the unnamed portal
	r.buf = append(r.buf, name...)
	r.buf = append(r.buf, 0)
	r.buf = append(r.buf, 0, 1, 0, 1) // all parameters are binary
	r.buf = binary.BigEndian.AppendUint16(r.buf, uint16(s.Parameters))
}

// parse makes the unnamed statement, whose types the server finds.
func (r *Requests) parse(sql string) {
	r.begin('P')
	r.buf = append(r.buf, 0)
	r.buf = append(r.buf, sql...)
	r.buf = append(r.buf, 0, 0, 0)
	r.end()
}

// Execute ends what Bind has begun: the server executes the statement and sends all of
// its rows.
func (r *Requests) Execute() {
	r.buf = append(r.buf, 0, 1, 0, 1) // all results are binary
	r.end()
	r.begin('E')
	r.buf = append(r.buf, 0, 0, 0, 0, 0) // the unnamed portal, without limit
	r.end()
}

// Sync ends a group of statements, which is one transaction and has one answer.
func (r *Requests) Sync() {
	r.begin('S')
	r.end()
}

// Terminate ends the session.
func (r *Requests) Terminate() {
	r.begin('X')
	r.end()
}

func (r *Requests) begin(kind byte) {
	r.buf = append(r.buf, kind, 0, 0, 0, 0)
	r.start = len(r.buf) - 4
}

func (r *Requests) end() {
	binary.BigEndian.PutUint32(r.buf[r.start:], uint32(len(r.buf)-r.start))
}
