package wire

import (
	"encoding/binary"
	"errors"
	"math"
	"time"
)

// Type is the number by which Postgres knows a type.
type Type uint32

// The types of the elements of arrays.
const (
	TypeBool        Type = 16
	TypeBytea       Type = 17
	TypeInt8        Type = 20
	TypeInt2        Type = 21
	TypeInt4        Type = 23
	TypeText        Type = 25
	TypeJSON        Type = 114
	TypeTimestampTZ Type = 1184
	TypeUUID        Type = 2950
)

// Values builds values of parameters, each with its length before it. The zero Values is
// empty and ready for use.
type Values struct{ buf []byte }

// Bytes returns all that was written. It is valid until more is written.
func (v *Values) Bytes() []byte { return v.buf }

// Reset empties the values. It keeps the memory for the next ones, unless that is more
// than a number of bytes: an unusual request must not hold its memory for ever.
func (v *Values) Reset(keep int) {
	if cap(v.buf) > keep {
		v.buf = nil
	}
	v.buf = v.buf[:0]
}

// Parameters returns the values one by one, without their lengths, as the driver takes
// them. NULL is nil. Nothing but values may have been written.
func (v *Values) Parameters() [][]byte {
	n := 0
	for data := v.buf; len(data) > 0; n++ {
		data = data[4+max(0, int32(binary.BigEndian.Uint32(data))):]
	}
	all := make([][]byte, 0, n)
	for data := v.buf; len(data) > 0; {
		size := int32(binary.BigEndian.Uint32(data))
		if data = data[4:]; size < 0 {
			all = append(all, nil)
			continue
		}
		all, data = append(all, data[:size:size]), data[size:]
	}
	return all
}

// Int8 writes a bigint.
func (v *Values) Int8(n int64) {
	v.buf = append(v.buf, 0, 0, 0, 8)
	v.buf = binary.BigEndian.AppendUint64(v.buf, uint64(n))
}

// Int4 writes an int.
func (v *Values) Int4(n int32) {
	v.buf = append(v.buf, 0, 0, 0, 4)
	v.buf = binary.BigEndian.AppendUint32(v.buf, uint32(n))
}

// Int2 writes a smallint.
func (v *Values) Int2(n int16) {
	v.buf = append(v.buf, 0, 0, 0, 2)
	v.buf = binary.BigEndian.AppendUint16(v.buf, uint16(n))
}

// Bool writes a boolean.
func (v *Values) Bool(b bool) {
	v.buf = append(v.buf, 0, 0, 0, 1, 0)
	if b {
		v.buf[len(v.buf)-1] = 1
	}
}

// Time writes a timestamptz, which counts microseconds.
func (v *Values) Time(at time.Time) { v.Int8(at.UnixMicro() - epoch) }

// Data writes what is its own binary form: a bytea, uuid or text. Nil is empty and not
// NULL.
func (v *Values) Data(data []byte) {
	v.buf = binary.BigEndian.AppendUint32(v.buf, uint32(len(data)))
	v.buf = append(v.buf, data...)
}

// Text writes a text.
func (v *Values) Text(text string) {
	v.buf = binary.BigEndian.AppendUint32(v.buf, uint32(len(text)))
	v.buf = append(v.buf, text...)
}

// Append writes what a function appends to the bytes before it.
func (v *Values) Append(value func(to []byte) []byte) {
	start := len(v.buf)
	v.buf = value(append(v.buf, 0, 0, 0, 0))
	v.endLength(start)
}

// Null writes NULL.
func (v *Values) Null() { v.buf = append(v.buf, 0xff, 0xff, 0xff, 0xff) }

// Array begins an array of n elements, which follow as values do. EndArray ends it, with
// what Array has returned.
func (v *Values) Array(element Type, n int) (start int) {
	start = len(v.buf)
	v.buf = append(v.buf, 0, 0, 0, 0)
	if n == 0 { // an empty array has no dimension
		v.buf = append(v.buf, 0, 0, 0, 0, 0, 0, 0, 0)
		v.buf = binary.BigEndian.AppendUint32(v.buf, uint32(element))
		return start
	}
	v.buf = append(v.buf, 0, 0, 0, 1, 0, 0, 0, 1) // one dimension, may hold NULL
	v.buf = binary.BigEndian.AppendUint32(v.buf, uint32(element))
	v.buf = binary.BigEndian.AppendUint32(v.buf, uint32(n))
	v.buf = append(v.buf, 0, 0, 0, 1) // counted from 1
	return start
}

// EndArray ends an array.
func (v *Values) EndArray(start int) { v.endLength(start) }

func (v *Values) endLength(start int) {
	binary.BigEndian.PutUint32(v.buf[start:], uint32(len(v.buf)-start-4))
}

// epoch is the zero of Postgres' timestamps, 2000-01-01 UTC, in microseconds.
const epoch = 946_684_800_000_000

// The functions of one value return it without its length, as the driver takes it.

// Int8 is a bigint.
func Int8(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

// Int4 is an int.
func Int4(n int32) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }

// Int2 is a smallint.
func Int2(n int16) []byte { return binary.BigEndian.AppendUint16(nil, uint16(n)) }

// Bool is a boolean.
func Bool(b bool) []byte {
	if b {
		return []byte{1}
	}
	return []byte{0}
}

// Time is a timestamptz.
func Time(at time.Time) []byte { return Int8(at.UnixMicro() - epoch) }

// Array is an array of values of one type.
func Array[T any](element Type, all []T, write func(*Values, T)) []byte {
	var v Values
	start := v.Array(element, len(all))
	for _, one := range all {
		write(&v, one)
	}
	v.EndArray(start)
	return v.buf[4:]
}

// Texts is a text[].
func Texts[T ~string](all []T) []byte {
	return Array(TypeText, all, func(v *Values, text T) { v.Text(string(text)) })
}

// Int8s is a bigint[].
func Int8s(all []int64) []byte { return Array(TypeInt8, all, (*Values).Int8) }

// ErrUndecodable says that a row has other columns than its statement promises.
var ErrUndecodable = errors.New("a row is not what its statement promises")

// The readers report false when a value is not of its type.

// ReadInt8 reads a bigint.
func ReadInt8(data []byte) (int64, bool) {
	if len(data) != 8 {
		return 0, false
	}
	return int64(binary.BigEndian.Uint64(data)), true
}

// ReadInt4 reads an int.
func ReadInt4(data []byte) (int32, bool) {
	if len(data) != 4 {
		return 0, false
	}
	return int32(binary.BigEndian.Uint32(data)), true
}

// ReadInt2 reads a smallint.
func ReadInt2(data []byte) (int16, bool) {
	if len(data) != 2 {
		return 0, false
	}
	return int16(binary.BigEndian.Uint16(data)), true
}

// ReadTime reads a timestamptz, in UTC.
func ReadTime(data []byte) (time.Time, bool) {
	micros, ok := ReadInt8(data)
	if !ok || micros > math.MaxInt64-epoch {
		return time.Time{}, false
	}
	return time.UnixMicro(micros + epoch).UTC(), true
}

// ReadArray reads an array of one dimension without NULL; NULL itself is empty. The
// elements share the memory of data.
func ReadArray(data []byte, element Type) ([][]byte, bool) {
	if data == nil {
		return nil, true
	}
	if len(data) < 12 || binary.BigEndian.Uint32(data[8:]) != uint32(element) {
		return nil, false
	}
	switch dimensions := binary.BigEndian.Uint32(data); {
	case dimensions == 0:
		return nil, len(data) == 12
	case dimensions != 1 || len(data) < 20:
		return nil, false
	}
	n := binary.BigEndian.Uint32(data[12:])
	data = data[20:]
	if int64(n)*4 > int64(len(data)) {
		return nil, false
	}
	elements := make([][]byte, n)
	for i := range elements {
		if len(data) < 4 {
			return nil, false
		}
		size := int64(binary.BigEndian.Uint32(data))
		data = data[4:]
		if size > int64(len(data)) { // NULL has the greatest size
			return nil, false
		}
		elements[i], data = data[:size], data[size:]
	}
	return elements, len(data) == 0
}

// ReadInt4s reads an int[] without NULL.
func ReadInt4s(data []byte) ([]int32, bool) {
	elements, ok := ReadArray(data, TypeInt4)
	values := make([]int32, len(elements))
	for i, element := range elements {
		var fits bool
		values[i], fits = ReadInt4(element)
		ok = ok && fits
	}
	return values, ok
}
