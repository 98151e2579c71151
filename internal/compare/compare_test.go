package compare_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/stele-es/stele/internal/compare"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type (
	line struct {
		Price int
		note  string
	}
	order struct {
		ID    string
		Lines []line
		By    map[string]*line
		At    time.Time
		Sum   *wrapperspb.Int64Value
		Raw   json.RawMessage
		Any   any
		Next  *order
	}
	// rounded knows itself when two are equal.
	rounded struct{ cents int }
	// owner says the same of two that hold different things, and has no form of its own.
	owner struct{ ID, Name string }
)

func (rounded) MarshalText() ([]byte, error) { return nil, errors.New("never") }
func (r rounded) Equal(other rounded) bool   { return r.cents/100 == other.cents/100 }
func (o owner) Equal(other owner) bool       { return o.ID == other.ID }
func at(seconds int64) time.Time             { return time.Unix(seconds, 0).UTC() }
func sum(n int64) *wrapperspb.Int64Value     { return wrapperspb.Int64(n) }
func linesOf(prices ...int) (lines []line) {
	for _, price := range prices {
		lines = append(lines, line{Price: price})
	}
	return lines
}

// The first difference is named by its place and by both values.
func TestFirst(t *testing.T) {
	t.Parallel()
	for want, pair := range map[string][2]any{
		`1, not 2`:                   {1, 2},
		`1, not "1"`:                 {1, "1"},
		`ID: "a", not "b"`:           {order{ID: "a"}, order{ID: "b"}},
		`Lines[1].Price: 30, not 31`: {order{Lines: linesOf(1, 30)}, order{Lines: linesOf(1, 31)}},
		`Lines[1]: compare_test.line{Price:2, note:""}, not nothing`: {order{Lines: linesOf(1, 2)}, order{Lines: linesOf(1)}},
		`[0]: nothing, not 7`:                                {[]int{}, []int{7}},
		`Lines[0].note: "a", not "b"`:                        {order{Lines: []line{{note: "a"}}}, order{Lines: []line{{note: "b"}}}},
		`By["x"].Price: 1, not 2`:                            {order{By: map[string]*line{"x": {Price: 1}}}, order{By: map[string]*line{"x": {Price: 2}}}},
		`By["x"]: (*compare_test.line)(nil), not nothing`:    {order{By: map[string]*line{"x": nil}}, order{}},
		`At: 1970-01-01T00:00:01Z, not 1970-01-01T00:00:02Z`: {order{At: at(1)}, order{At: at(2)}},
		`Sum.value: 1, not 2`:                                {order{Sum: sum(1)}, order{Sum: sum(2)}},
		`field[0].label: "LABEL_REPEATED", not nothing`: {
			&descriptorpb.DescriptorProto{Field: []*descriptorpb.FieldDescriptorProto{{Name: new("a"), Label: descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()}}},
			&descriptorpb.DescriptorProto{Field: []*descriptorpb.FieldDescriptorProto{{Name: new("a")}}},
		},
		`reserved_name[1]: nothing, not "b"`: {&descriptorpb.DescriptorProto{ReservedName: []string{"a"}}, &descriptorpb.DescriptorProto{ReservedName: []string{"a", "b"}}},
		`fields: map[string]interface {}{"a":&structpb.Value{bool_value:true}}, not map[string]interface {}{"a":&structpb.Value{bool_value:false}}`: {
			&structpb.Struct{Fields: map[string]*structpb.Value{"a": structpb.NewBoolValue(true)}}, &structpb.Struct{Fields: map[string]*structpb.Value{"a": structpb.NewBoolValue(false)}},
		},
		`null_value: "NULL_VALUE", not nothing`: {
			structpb.NewNullValue(), structpb.NewStringValue("x"),
		},
		`options: &descriptorpb.MessageOptions{deprecated:true}, not nothing`: {
			&descriptorpb.DescriptorProto{Options: &descriptorpb.MessageOptions{Deprecated: new(true)}}, &descriptorpb.DescriptorProto{},
		},
		`Any: 1, not nothing`: {
			order{Any: 1}, order{},
		},
		`&compare_test.line{Price:1, note:""}, not compare_test.line{Price:1, note:""}`: {
			&line{Price: 1}, line{Price: 1},
		},
		`Name: "a", not "b"`: {
			owner{"1", "a"}, owner{"1", "b"},
		},
		`compare_test.rounded{cents:1}, not compare_test.rounded{cents:100}`: {
			rounded{1}, rounded{100},
		},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()

			d := compare.First(pair[0], pair[1])

			require.NotNil(t, d)
			require.Equal(t, want, d.String())
			require.False(t, compare.Equal(pair[0], pair[1]))
		})
	}
}

func TestEqual(t *testing.T) {
	t.Parallel()
	cycle, same := &order{ID: "a"}, &order{ID: "a"}
	cycle.Next, same.Next = cycle, same
	for name, pair := range map[string][2]any{
		"nothing":   {nil, nil},
		"empty":     {order{Lines: []line{}, By: map[string]*line{}}, order{}},
		"instants":  {at(1), at(1).In(time.FixedZone("", 3600))},
		"raw":       {order{Raw: json.RawMessage(`{"a": 1}`)}, order{Raw: json.RawMessage(`{"a":1}`)}},
		"no raw":    {order{Raw: nil}, order{Raw: json.RawMessage(`null`)}},
		"own":       {rounded{101}, rounded{102}},
		"in cycles": {cycle, same},
		"messages":  {sum(1), sum(1)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			require.Nil(t, compare.First(pair[0], pair[1]))
			require.Nil(t, compare.First(pair[1], pair[0]))
		})
	}
}

// What was nothing before is not lost, whatever it has become.
func TestLost(t *testing.T) {
	t.Parallel()

	require.Nil(t, compare.Lost(line{Price: 1}, line{Price: 1, note: "made"}))
	require.Equal(t, `note: "a", not ""`, compare.Lost(line{Price: 1, note: "a"}, line{Price: 1}).String())
}

// Values are printed as Go writes them, whatever they hold.
func TestShow(t *testing.T) {
	t.Parallel()
	cycle := &order{ID: "a"}
	cycle.Next = cycle
	for want, value := range map[string]any{
		`nothing`:                      nil,
		`"a"`:                          "a",
		`time.Duration(1s)`:            time.Second,
		`[]uint8("ab")`:                []byte("ab"),
		`map[string]int{"a":1, "b":2}`: map[string]int{"b": 2, "a": 1},
		`[]compare_test.line{compare_test.line{Price:1, note:""}}`:                                                linesOf(1),
		`&compare_test.order{ID:"a", Lines:{}, By:{}, At:0001-01-01T00:00:00Z, Sum:nil, Raw:"", Any:nil, Next:…}`: cycle,
	} {
		require.Equal(t, want, compare.Show(value))
	}
}
