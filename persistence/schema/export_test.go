package schema

import (
	"encoding/json"
	"reflect"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// CompareMessages compares two descriptors.
func CompareMessages(was, is protoreflect.MessageDescriptor) []Finding {
	found := findings{}
	(&messages{report: func(f Finding) { found.add(f, 1, 1) }}).compare(was, is)
	return found.sorted()
}

// CompareStructs compares two types as JSON.
func CompareStructs[Was, Is any]() ([]Finding, error) {
	was, is := new(shape), new(shape)
	if err := json.Unmarshal(describeType(reflect.TypeFor[Was](), "x"), was); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(describeType(reflect.TypeFor[Is](), "x"), is); err != nil {
		return nil, err
	}
	found := findings{}
	(&shapes{report: func(f Finding) { found.add(f, 1, 1) }, message: "x", was: was, is: is}).compare(was, is, "")
	return found.sorted(), nil
}
