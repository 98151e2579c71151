package transfer

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/stele-es/stele/persistence"
)

// object is a JSON object under construction. Values are written as they are:
// encoding/json would change the spaces of JSON inside.
type object struct{ out []byte }

func newObject(out []byte) *object { return &object{append(out, '{')} }

func (o *object) end() []byte { return append(o.out, '}') }

func (o *object) key(key string) {
	if o.out[len(o.out)-1] != '{' {
		o.out = append(o.out, ',')
	}
	o.out = appendText(o.out, key)
	o.out = append(o.out, ':')
}

func (o *object) raw(key string, value []byte) {
	o.key(key)
	o.out = append(o.out, value...)
}

func (o *object) text(key, value string) {
	o.key(key)
	o.out = appendText(o.out, value)
}

func (o *object) number(key string, value int64) {
	o.key(key)
	o.out = strconv.AppendInt(o.out, value, 10)
}

// flag writes a truth, and nothing when it is false.
func (o *object) flag(key string, value bool) {
	if value {
		o.raw(key, []byte("true"))
	}
}

func (o *object) bytes(key string, value []byte) {
	o.key(key)
	o.out = append(o.out, '"')
	o.out = base64.StdEncoding.AppendEncode(o.out, value)
	o.out = append(o.out, '"')
}

func (o *object) time(key string, value time.Time) {
	o.text(key, value.UTC().Format(timeForm))
}

// timeForm is RFC 3339 with microseconds, whatever they are.
const timeForm = "2006-01-02T15:04:05.000000Z"

func (o *object) texts(key string, values []string) {
	o.key(key)
	o.out = append(o.out, '[')
	for i, value := range values {
		if i > 0 {
			o.out = append(o.out, ',')
		}
		o.out = appendText(o.out, value)
	}
	o.out = append(o.out, ']')
}

func (o *object) positions(key string, at persistence.Positions) {
	o.key(key)
	o.out = append(o.out, '[')
	for i, offset := range at {
		if i > 0 {
			o.out = append(o.out, ',')
		}
		o.out = strconv.AppendInt(o.out, offset, 10)
	}
	o.out = append(o.out, ']')
}

func appendText(out []byte, s string) []byte { return persistence.String(s).AppendJSON(out) }

// isJSON reports whether bytes can stand in a line as they are, and come out of it
// so: JSON without anything around it, and without a line's end.
func isJSON(data []byte) bool {
	return len(data) > 0 && len(bytes.TrimSpace(data)) == len(data) && bytes.IndexByte(data, '\n') < 0 && bytes.IndexByte(data, '\r') < 0 &&
		utf8.Valid(data) && json.Valid(data)
}
