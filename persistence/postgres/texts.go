package postgres

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"
)

// Types that only stand in results or in filters.
const (
	oidName      = 19
	oidVarchar   = 1043
	oidJSONB     = 3802
	oidVoid      = 2278
	oidLSN       = 3220
	oidTextArray = 1009
	oidInt4Array = 1007
)

// textOf turns the binary form of a value into the server's text.
func textOf(oid uint32, data []byte) (string, error) {
	switch oid {
	case oidText, oidJSON, oidVarchar, oidName:
		return string(data), nil
	}
	switch {
	case oid == oidBytea:
		return `\x` + hex.EncodeToString(data), nil
	case oid == oidBool && len(data) == 1:
		return strconv.FormatBool(data[0] != 0), nil
	case oid == oidInt2 && len(data) == 2:
		return strconv.Itoa(int(int16(binary.BigEndian.Uint16(data)))), nil
	case oid == oidInt4 && len(data) == 4:
		return strconv.Itoa(int(int32(binary.BigEndian.Uint32(data)))), nil
	case oid == oidInt8 && len(data) == 8:
		return strconv.FormatInt(int64(binary.BigEndian.Uint64(data)), 10), nil
	case oid == oidUUID && len(data) == 16:
		return uuid.UUID(data).String(), nil
	case oid == oidTime && len(data) == 8:
		return timeText(int64(binary.BigEndian.Uint64(data))), nil
	case oid == oidJSONB && len(data) > 0 && data[0] == 1: // the version of its form
		return string(data[1:]), nil
	}
	return arrayText(data)
}

// timeText writes microseconds since Postgres' epoch, which may lie before Christ.
func timeText(micros int64) string {
	switch micros {
	case math.MaxInt64:
		return "infinity"
	case math.MinInt64:
		return "-infinity"
	}
	// Apart, because the sum in microseconds may be too large.
	at := time.Unix(micros/1e6+epoch/1e6, micros%1e6*1e3).UTC()
	year, era := at.Year(), ""
	if year < 1 {
		year, era = 1-year, " BC"
	}
	return fmt.Sprintf("%04d-%s+00%s", year, at.Format("01-02 15:04:05.000000"), era)
}

// arrayText turns the binary form of an array of one dimension into text.
func arrayText(data []byte) (string, error) {
	if len(data) < 12 {
		return "", errUndecodable
	}
	oid := binary.BigEndian.Uint32(data[8:])
	if binary.BigEndian.Uint32(data) == 0 {
		return "{}", nil
	}
	if binary.BigEndian.Uint32(data) != 1 || len(data) < 20 {
		return "", errUndecodable
	}
	elements := (&message{buf: data[20:]}).parameters()
	words := make([]string, len(elements))
	for i, element := range elements {
		words[i] = "NULL"
		if element == nil {
			continue
		}
		word, err := textOf(oid, element)
		if err != nil {
			return "", err
		}
		words[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(word) + `"`
	}
	return "{" + strings.Join(words, ",") + "}", nil
}

// inBinaryForm turns the server's texts of a row into the binary forms of their
// types.
func inBinaryForm(types *pgtype.Map, oids []uint32, row [][]byte) ([][]byte, error) {
	values := make([][]byte, len(row))
	for i, value := range row {
		if value == nil || i >= len(oids) {
			continue
		}
		var err error
		if values[i], err = binaryOf(types, oids[i], value); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// binaryOf turns the server's text of a value into its binary form. The result is
// never nil.
func binaryOf(types *pgtype.Map, oid uint32, value []byte) ([]byte, error) {
	var m message
	switch oid {
	case oidText, oidJSON, oidVarchar, oidName:
		return value, nil
	case oidVoid, oidLSN:
		return []byte{}, nil // nobody looks
	case oidJSONB:
		return append([]byte{1}, value...), nil // the version of its form
	case oidBytea:
		return bytesOf(value)
	case oidTextArray, oidInt4Array:
		return arrayOf(types, oid, value)
	case oidUUID:
		id, err := uuid.ParseBytes(value)
		if err != nil {
			return nil, errUndecodable
		}
		return id[:], nil
	case oidBool:
		m.bool(string(value) == "t")
	case oidTime:
		micros, err := microsOf(types, value)
		if err != nil {
			return nil, err
		}
		m.int8(micros)
	case oidInt2, oidInt4, oidInt8:
		number, err := strconv.ParseInt(string(value), 10, 64)
		switch {
		case err != nil:
			return nil, errUndecodable
		case oid == oidInt2:
			m.int2(int16(number))
		case oid == oidInt4:
			m.int4(int32(number))
		default:
			m.int8(number)
		}
	default:
		return nil, errUndecodable
	}
	return m.buf[4:], nil // without the length
}

// bytesOf reads bytes in either form that a server writes: through a pooler it is not
// for us to say which.
func bytesOf(value []byte) ([]byte, error) {
	if digits, hexadecimal := strings.CutPrefix(string(value), `\x`); hexadecimal {
		data, err := hex.DecodeString(digits)
		if err != nil {
			return nil, errUndecodable
		}
		return data, nil
	}
	data := make([]byte, 0, len(value))
	for i := 0; i < len(value); i++ {
		switch rest := value[i:]; {
		case rest[0] != '\\':
			data = append(data, rest[0])
		case len(rest) > 1 && rest[1] == '\\':
			data = append(data, '\\')
			i++
		case len(rest) > 3:
			octal, err := strconv.ParseUint(string(rest[1:4]), 8, 8)
			if err != nil {
				return nil, errUndecodable
			}
			data = append(data, byte(octal))
			i += 3
		default:
			return nil, errUndecodable
		}
	}
	return data, nil
}

// microsOf reads what timeText writes.
func microsOf(types *pgtype.Map, value []byte) (int64, error) {
	switch string(value) {
	case "infinity":
		return math.MaxInt64, nil
	case "-infinity":
		return math.MinInt64, nil
	}
	var at time.Time
	if err := types.Scan(oidTime, pgtype.TextFormatCode, value, &at); err != nil {
		return 0, errUndecodable
	}
	return (at.Unix()-epoch/1e6)*1e6 + int64(at.Nanosecond()/1e3), nil
}

func arrayOf(types *pgtype.Map, oid uint32, value []byte) ([]byte, error) {
	var m message
	if oid == oidInt4Array {
		var numbers []int32
		if err := types.Scan(oid, pgtype.TextFormatCode, value, &numbers); err != nil {
			return nil, errUndecodable
		}
		start := m.array(oidInt4, len(numbers))
		for _, number := range numbers {
			m.int4(number)
		}
		m.endArray(start)
		return m.buf[4:], nil
	}
	var words []string
	if err := types.Scan(oid, pgtype.TextFormatCode, value, &words); err != nil {
		return nil, errUndecodable
	}
	return textArray(words), nil
}
