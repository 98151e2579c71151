package archtest_test

import (
	"os"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/archtest"
)

// Packages that do the same job have files of the same names for the same things.
func TestFloorPlans(t *testing.T) {
	t.Parallel()

	violations, err := archtest.CheckFloorPlans(os.DirFS("../.."), archtest.FloorPlans())

	require.NoError(t, err)
	for _, violation := range violations {
		t.Error(violation)
	}
}

func TestFloorPlansFind(t *testing.T) {
	t.Parallel()
	plan := archtest.FloorPlan{
		Name: "stores", Of: "Store", Themes: map[string]string{"read.go": "Read", "write.go": "Write"},
		Own: map[string][]string{"a": {"own.go"}, "b": nil, "c": nil}, Folders: []string{"sql"},
	}
	tree := fstest.MapFS{
		"go.mod":        {Data: []byte("module m\n")},
		"a/read.go":     {Data: []byte("package a\n\nfunc (*Store) Read() {}\n")},
		"a/own.go":      {Data: []byte("package a\n\nfunc (*Store) Write() {}\n\nfunc (*Store) hidden() {}\n")},
		"a/any_test.go": {Data: []byte("package a\n")},
		"a/sql/read":    {},
		"a/query/read":  {},
		"b/own.go":      {Data: []byte("package b\n\nfunc (*Store) hidden() {}\n")},
		"b/write.go":    {Data: []byte("package b\n\nfunc (*Store) Write() {}\n\nfunc (*Other) Read() {}\n")},
	}

	violations, err := archtest.CheckFloorPlans(tree, []archtest.FloorPlan{plan})

	require.NoError(t, err)
	var found []string
	for _, violation := range violations {
		found = append(found, violation.String())
	}
	require.Equal(t, []string{
		"a/query:1: stores have the folders sql only",
		"b/own.go:1: stores have no file own.go: give the content to a file of the plan, or add it there",
		"b/write.go:3: Write stands in write.go, but in own.go of a",
		"c:1: there is no such package of stores",
	}, found)
}
