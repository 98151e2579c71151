package filter_test

import (
	"encoding/json"
	"fmt"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
)

var deposit = persistence.Recorded{
	Event: persistence.Event{
		Type: "deposited", Tags: []string{"branch 7"},
		Metadata: persistence.Metadata{"tenant": persistence.String("acme"), "cents": persistence.Int(12_50)},
	},
	Stream: "account-ann", Version: 3,
}

func Example() {
	f := filter.Type().In("deposited", "withdrawn").
		And(filter.Meta("cents").Int().Ge(10_00)).
		And(filter.Not(filter.Tag().Eq("test")))

	fmt.Println(f)
	fmt.Println(f.Match(&deposit))
	// Output:
	// type in ? and meta.cents >= ? and not (tag = ?)
	// true
}

// A leaf never holds for an event without the key. Not is plain negation.
func ExampleNot() {
	fmt.Println(filter.Meta("user").Text().Ne("ann").Match(&deposit))
	fmt.Println(filter.Not(filter.Meta("user").Text().Eq("ann")).Match(&deposit))
	// Output:
	// false
	// true
}

func ExampleFilter_Check() {
	f := filter.Stream().Prefix("account-").And(filter.Type().Regex("(deposited"))

	fmt.Println(f.Check())
	// Output: invalid: type filter has a pattern that is not RE2
}

func ExampleText() {
	f, err := filter.Text("meta.cents", ">", "999.5")
	fmt.Println(f.Match(&deposit), err)

	_, err = filter.Text("version", ">", "three")
	fmt.Println(err)
	// Output:
	// true <nil>
	// invalid: version filter has an operand that is not a whole number in range
}

func ExampleFilter_MarshalJSON() {
	written, err := json.Marshal(filter.Category().Eq("account").And(filter.Not(filter.Meta("tenant").Text().In("acme", "test"))))
	fmt.Println(string(written), err)

	var read filter.Filter
	err = json.Unmarshal(written, &read)
	fmt.Println(read, err)
	// Output:
	// {"and":[{"field":"category","op":"eq","value":"account"},{"not":{"meta":"tenant","op":"in","value":["acme","test"]}}]} <nil>
	// category = ? and not (meta.tenant in ?) <nil>
}

func ExampleFilter_Necessary() {
	f := filter.Type().Eq("deposited").And(filter.Version().Gt(1)).
		Or(filter.Type().Eq("withdrawn").And(filter.Version().Gt(5)))

	necessary := f.Necessary()
	fmt.Println(necessary.Types, "from version", *necessary.Versions.Min)
	// Output: [deposited withdrawn] from version 2
}
