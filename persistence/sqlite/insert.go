package sqlite

import "database/sql/driver"

// rowsAtOnce are the numbers of rows that one statement writes, largest first. A
// statement of many rows costs less per row, up to where binding dominates.
var rowsAtOnce = [...]int{100, 10, 1}

// inserter gathers rows and writes them with few statements.
type inserter struct {
	width  int
	stmts  [len(rowsAtOnce)]*stmt
	values []driver.Value // of the rows gathered, one after the other
}

func newInserter(c *conn, name string, width int) (*inserter, error) {
	in := &inserter{width: width, values: make([]driver.Value, 0, width*rowsAtOnce[0])}
	for i, rows := range rowsAtOnce {
		var err error
		if in.stmts[i], err = c.prepare(repeated(query(name), rows)); err != nil {
			return nil, err
		}
	}
	return in, nil
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
	defer in.drop()
	rest := in.values
	for i, rows := range rowsAtOnce {
		for size := rows * in.width; len(rest) >= size; rest = rest[size:] {
			if err := in.stmts[i].run(rest[:size]...); err != nil {
				return err
			}
		}
	}
	return nil
}

// drop forgets the rows gathered, and what they refer to.
func (in *inserter) drop() {
	clear(in.values)
	in.values = in.values[:0]
}
