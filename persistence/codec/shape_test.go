package codec_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/stele-es/stele/persistence/codec"
)

type tree struct {
	Name     string
	Children []*tree
	By       map[string]tree
}

// Types that are stored alike have one shape; every difference in what is stored
// gives another.
func TestShape(t *testing.T) {
	t.Parallel()
	alike := map[string][]any{
		"plain": {struct{ A int }{}, &struct{ A int }{}, struct{ A, b int }{}},
		"tagged": {struct {
			A int `json:"a"`
		}{}},
		"renamed": {struct{ B int }{}},
		"typed":   {struct{ A int64 }{}},
		"two":     {struct{ A, B int }{}},
		"nested":  {struct{ A struct{ B int } }{}},
		"flat": {struct {
			A struct{}
			B int
		}{}},
		"list":      {struct{ A []int }{}},
		"array":     {struct{ A [2]int }{}},
		"map":       {struct{ A map[string]int }{}},
		"recursive": {tree{}},
		"time":      {time.Time{}},
		"timestamp": {&timestamppb.Timestamp{}},
		"duration":  {&durationpb.Duration{}},
		"value":     {&structpb.Value{}},
	}
	seen := map[uint64]string{}
	for name, values := range alike {
		shape := codec.Shape(reflect.TypeOf(values[0]))
		for _, value := range values {
			require.Equal(t, shape, codec.Shape(reflect.TypeOf(value)), name)
		}
		require.Empty(t, seen[shape], "%s has the shape of %s", name, seen[shape])
		seen[shape] = name
	}
}

// A shape is stored, so it must not change: not with the program, its version or
// the platform.
func TestShapeIsStable(t *testing.T) {
	t.Parallel()

	require.Equal(t, uint64(0x40fed0de7b0dcb7), codec.Shape(reflect.TypeFor[tree]()))
	require.Equal(t, uint64(0x856ef130491cf9b2), codec.Shape(reflect.TypeFor[*timestamppb.Timestamp]()))
}
