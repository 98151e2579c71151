package codec

import (
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

type sized struct {
	Name  string
	Tags  []string
	Notes map[string]string
	Next  *sized
	Any   any
	Grid  [2][]int64
}

func (sized) MessageName() string { return "test.sized" }

type fixed struct {
	A int64
	B [4]struct{ C bool }
}

func (fixed) MessageName() string { return "test.fixed" }

// What a message holds counts, wherever it holds it.
func TestSize(t *testing.T) {
	t.Parallel()
	of := formOf(reflect.TypeFor[sized]()) // which Of refuses for what it holds
	empty := of.Size(sized{})
	const n = 10_000
	long := strings.Repeat("x", n)
	for name, message := range map[string]sized{
		"string":    {Name: long},
		"slice":     {Tags: []string{long}},
		"many":      {Tags: make([]string, n)},
		"map":       {Notes: map[string]string{"a": long}},
		"key":       {Notes: map[string]string{long: "a"}},
		"pointer":   {Next: &sized{Next: &sized{Name: long}}},
		"interface": {Any: []any{long}},
		"array":     {Grid: [2][]int64{1: make([]int64, n/8)}},
	} {
		require.GreaterOrEqual(t, of.Size(message)-empty, n, name)
		require.LessOrEqual(t, of.Size(message)-empty, 2*n+16*n, name)
	}
	self := sized{}
	self.Next = &self
	require.Positive(t, of.Size(self), "it ends")

	pointer := formOf(reflect.TypeFor[*sized]())
	require.GreaterOrEqual(t, pointer.Size(&sized{Name: long}), n)
	require.Positive(t, pointer.Size((*sized)(nil)))

	flat, err := Of[fixed]()
	require.NoError(t, err)
	require.Equal(t, 16, flat.Size(fixed{}))

	protobuf, err := Of[*wrapperspb.StringValue]()
	require.NoError(t, err)
	require.Equal(t, proto.Size(wrapperspb.String(long)), protobuf.Size(wrapperspb.String(long)))
}

func BenchmarkSize(b *testing.B) {
	of := formOf(reflect.TypeFor[sized]())
	message := any(sized{Name: "x", Tags: []string{"a", "b"}})
	b.ReportAllocs()
	for b.Loop() {
		of.Size(message)
	}
}
