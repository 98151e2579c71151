package codec

import "reflect"

// FromJSON reads a value as a codec of its type does.
func FromJSON(data []byte, t reflect.Type) (reflect.Value, error) {
	return fromJSON(data, t, readAlike(t))
}
