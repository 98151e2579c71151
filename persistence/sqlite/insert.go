package sqlite

import "database/sql/driver"

// rowsAtOnce are the numbers of rows that one statement writes, largest first. A
// statement of many rows costs less per row, up to where binding dominates.
var rowsAtOnce = [...]int{100, 10, 1}

// inserter gathers rows and writes them with few statements, which it prepares
// when it first needs them.
type inserter struct {
	text    string // of a statement for one row
	width   int
	prepare prepare
	stmts   [len(rowsAtOnce)]*stmt
	values  []driver.Value // of the rows gathered, one after the other
}

// prepare makes a statement of a text.
type prepare func(text string) (*stmt, error)

func newInserter(prepare prepare, name string, width int) *inserter {
	return &inserter{text: query(name), width: width, prepare: prepare}
}

// add gathers a row, and writes when there are enough.
func (in *inserter) add(row ...driver.Value) error {
	in.values = append(in.values, row...)
	if len(in.values) < in.width*rowsAtOnce[0] {
		return nil
	}
	return in.flush()
}

// flush writes the rows gathered and forgets them.
func (in *inserter) flush() error {
	if len(in.values) == 0 {
		return nil
	}
	defer in.drop()
	rest := in.values
	for i, rows := range rowsAtOnce {
		for size := rows * in.width; len(rest) >= size; rest = rest[size:] {
			if err := in.write(i, rest[:size]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (in *inserter) write(i int, values []driver.Value) (err error) {
	if in.stmts[i] == nil {
		if in.stmts[i], err = in.prepare(repeated(in.text, rowsAtOnce[i])); err != nil {
			return err
		}
	}
	return in.stmts[i].run(values...)
}

// drop forgets the rows gathered, and what they refer to.
func (in *inserter) drop() {
	clear(in.values)
	in.values = in.values[:0]
}
