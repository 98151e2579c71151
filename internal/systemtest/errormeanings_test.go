package systemtest

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/codec"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/persistence/prooph"
	"github.com/stele-es/stele/persistence/schema"
	"github.com/stele-es/stele/persistence/transfer"
	"github.com/stele-es/stele/projections"
)

// Rows of the table of errors.
var (
	refused  = persistence.Class{Kind: persistence.ErrRejected}
	conflict = persistence.Class{Kind: persistence.ErrConflict}
	reused   = persistence.Class{Kind: persistence.ErrEventIDReused}
	missing  = persistence.Class{Kind: persistence.ErrNotFound}
	invalid  = persistence.Class{Kind: persistence.ErrInvalid}
	fenced   = persistence.Class{Kind: persistence.ErrFenced}
	corrupt  = persistence.Class{Kind: persistence.ErrCorrupt}
	gone     = persistence.Class{Kind: persistence.ErrUnavailable, Retry: true}
	full     = persistence.Class{Kind: persistence.ErrOverloaded, Retry: true}
	unknown  = persistence.Class{Kind: persistence.ErrUnknownOutcome, Effect: persistence.MaybeDone, Retry: true}
	done     = persistence.Class{Kind: persistence.ErrDone, Effect: persistence.Done}
)

var errDomain = errors.New("insufficient funds")

// meanings is what every error of every package means, by its name, and behind a slash
// in which case. Causes are what could mislead.
var meanings = map[string]struct {
	err   error
	class persistence.Class
}{
	"persistence.ErrRejected":       {persistence.ErrRejected, refused},
	"persistence.ErrConflict":       {persistence.ErrConflict, conflict},
	"persistence.ErrEventIDReused":  {persistence.ErrEventIDReused, reused},
	"persistence.ErrNotFound":       {persistence.ErrNotFound, missing},
	"persistence.ErrInvalid":        {persistence.ErrInvalid, invalid},
	"persistence.ErrUnavailable":    {persistence.ErrUnavailable, gone},
	"persistence.ErrOverloaded":     {persistence.ErrOverloaded, full},
	"persistence.ErrUnknownOutcome": {persistence.ErrUnknownOutcome, unknown},
	"persistence.ErrFenced":         {persistence.ErrFenced, fenced},
	"persistence.ErrCorrupt":        {persistence.ErrCorrupt, corrupt},
	"persistence.ErrDone":           {persistence.ErrDone, done},
	"persistence.ErrStreamNotFound": {persistence.ErrStreamNotFound, missing},
	"persistence.ErrStreamExists":   {persistence.ErrStreamExists, conflict},
	"persistence.ErrRevision":       {persistence.ErrRevision, conflict},
	"persistence.ErrTruncated":      {persistence.ErrTruncated, missing},
	"persistence.ErrLostTail":       {persistence.ErrLostTail, corrupt},
	"persistence.ErrTables":         {persistence.ErrTables, gone},
	"persistence.ErrReplaced":       {persistence.ErrReplaced, gone},
	"persistence.ReplacedError":     {&persistence.ReplacedError{Err: persistence.ErrCorrupt}, gone},

	"persistence.ConfigError":                          {persistence.Misconfigured(errDomain, persistence.ErrUnavailable), invalid},
	"persistence.ConflictError":                        {&persistence.ConflictError{Expected: persistence.Exact(3)}, conflict},
	"persistence.ConflictError/of a missing stream":    {&persistence.ConflictError{Expected: persistence.StreamExists}, conflict},
	"persistence.StreamNotFoundError":                  {&persistence.StreamNotFoundError{}, missing},
	"persistence.StreamExistsError":                    {&persistence.StreamExistsError{}, conflict},
	"persistence.RevisionError":                        {&persistence.RevisionError{}, conflict},
	"persistence.TruncatedError":                       {&persistence.TruncatedError{}, missing},
	"persistence.LostTailError":                        {&persistence.LostTailError{}, corrupt},
	"persistence.EventIDReusedError":                   {&persistence.EventIDReusedError{}, reused},
	"persistence.InvalidError":                         {&persistence.InvalidError{}, invalid},
	"persistence.TablesError":                          {&persistence.TablesError{}, gone},
	"persistence.UnavailableError":                     {&persistence.UnavailableError{Err: persistence.ErrUnknownOutcome}, gone},
	"persistence.UnavailableError/overloaded":          {&persistence.UnavailableError{Overloaded: true, Err: persistence.ErrInvalid}, full},
	"persistence.UnavailableError/of who has left":     {&persistence.UnavailableError{Err: context.Canceled}, gone},
	"persistence.UnknownOutcomeError":                  {&persistence.UnknownOutcomeError{Err: persistence.ErrUnavailable}, unknown},
	"persistence.UnknownOutcomeError/of who has left":  {&persistence.UnknownOutcomeError{Err: context.Canceled}, unknown},
	"persistence.CorruptError":                         {&persistence.CorruptError{Err: &persistence.UnavailableError{}}, corrupt},
	"persistence.Error/rejected":                       {&persistence.Error{Kind: persistence.ErrRejected, Err: persistence.ErrUnknownOutcome}, refused},
	"persistence.Error/done":                           {&persistence.Error{Kind: persistence.ErrDone, Err: persistence.ErrNotFound}, done},
	"persistence.Error/unknown":                        {&persistence.Error{Kind: persistence.ErrUnknownOutcome, Err: &persistence.ConflictError{}}, unknown},
	"persistence.Error/of a narrower kind":             {&persistence.Error{Kind: persistence.ErrTruncated}, missing},
	"persistence.Error/without a kind, with a cause":   {&persistence.Error{Err: &persistence.ConflictError{}}, conflict},
	"persistence.Error/unavailable, for an unread one": {&persistence.Error{Kind: persistence.ErrUnavailable, Err: &persistence.StreamNotFoundError{}}, gone},

	"actors.ErrBehind":                            {actors.ErrBehind, done},
	"actors.BehindError":                          {&actors.BehindError{Err: &projections.BehindError{Err: context.DeadlineExceeded}}, done},
	"actors.BehindError/of one that is not found": {&actors.BehindError{Err: &projections.NotFoundError{}}, done},
	"actors.BehindError/of one that has diverged": {&actors.BehindError{Err: &projections.DivergedError{Err: &persistence.LostTailError{}}}, done},
	"actors.BehindError/when too many wait":       {&actors.BehindError{Err: &persistence.UnavailableError{Overloaded: true}}, done},
	"actors.ErrUndelivered":                       {actors.ErrUndelivered, unknown},
	"actors.UndeliveredError":                     {&actors.UndeliveredError{Err: &persistence.Error{Kind: persistence.ErrUnavailable}}, unknown},
	"actors.RejectedError":                        {actors.NewError("account", "insufficient", "insufficient funds"), refused},

	"projections.ErrNotFound":                       {projections.ErrNotFound, missing},
	"projections.ErrBehind":                         {projections.ErrBehind, gone},
	"projections.ErrDiverged":                       {projections.ErrDiverged, corrupt},
	"projections.NotFoundError":                     {&projections.NotFoundError{}, missing},
	"projections.BehindError":                       {&projections.BehindError{Err: errDomain}, gone},
	"projections.BehindError/in time":               {&projections.BehindError{Err: context.DeadlineExceeded}, gone},
	"projections.BehindError/refused an event":      {&projections.BehindError{Err: &projections.EventError{Err: persistence.ErrInvalid}}, gone},
	"projections.BehindError/met a corrupt event":   {&projections.BehindError{Err: &projections.EventError{Err: &persistence.CorruptError{}}}, corrupt},
	"projections.BehindError/diverged":              {&projections.BehindError{Err: &projections.DivergedError{Err: &persistence.LostTailError{}}}, corrupt},
	"projections.DivergedError":                     {&projections.DivergedError{Err: &persistence.LostTailError{}}, corrupt},
	"projections.DivergedError/without a cause":     {&projections.DivergedError{}, corrupt},
	"projections.EventError":                        {&projections.EventError{Err: errDomain}, refused},
	"projections.EventError/that cannot be read":    {&projections.EventError{Err: &persistence.CorruptError{}}, corrupt},
	"codec.ErrNotWhole":                             {codec.ErrNotWhole, corrupt},
	"codec.LossError":                               {&codec.LossError{Type: reflect.TypeFor[int]()}, invalid},
	"stele.IncompatibleError":                       {&stele.IncompatibleError{}, invalid},
	"stele.UncheckedError":                          {&stele.UncheckedError{Err: context.DeadlineExceeded}, gone},
	"schema.UndecodableError":                       {&schema.UndecodableError{}, missing},
	"schema.UndecodableError/of another form":       {&schema.UndecodableError{Err: errors.New("no varint")}, corrupt},
	"transfer.LineError":                            {&transfer.LineError{Err: &persistence.InvalidError{}}, invalid},
	"transfer.LineError/that contradicts":           {&transfer.LineError{Err: &persistence.ConflictError{}}, conflict},
	"prooph.RefusedError":                           {&prooph.RefusedError{}, invalid},
	"prooph.RefusedError/for something else":        {&prooph.RefusedError{Finding: prooph.Finding{Err: &persistence.UnavailableError{}}}, invalid},
	"an error of the domain":                        {errDomain, refused},
	"an error of the domain, as the runtime has it": {&persistence.Error{Kind: persistence.ErrRejected, Err: errDomain}, refused},
	"a context that has ended":                      {context.Canceled, unknown},
	"a deadline that has passed":                    {context.DeadlineExceeded, unknown},
	"a file that is away":                           {&fs.PathError{Op: "open", Err: fs.ErrNotExist}, unknown},
	"several, one of which may be done":             {errors.Join(persistence.ErrConflict, &persistence.UnknownOutcomeError{}, actors.ErrBehind), unknown},
	"several, one of which is done":                 {errors.Join(errDomain, &persistence.UnavailableError{}, &actors.BehindError{}), done},
	"several, of which none is done":                {errors.Join(errDomain, &persistence.UnavailableError{}, persistence.ErrConflict), gone},
}

// Every error means one thing, however it is wrapped, and errors.Is never says of a
// kind what contradicts it.
func TestWhatErrorsMean(t *testing.T) {
	t.Parallel()
	wrappings := map[string]func(error) error{
		"bare":         func(err error) error { return err },
		"wrapped":      func(err error) error { return fmt.Errorf("do: %w", err) },
		"twice":        func(err error) error { return fmt.Errorf("do: %w", fmt.Errorf("do: %w", err)) },
		"with another": func(err error) error { return fmt.Errorf("%w and %w", errors.New("other"), err) },
		"joined":       func(err error) error { return errors.Join(err, errors.New("cannot be closed")) },
		"in a line":    func(err error) error { return &transfer.LineError{Err: err} },
		"at an event":  func(err error) error { return &projections.EventError{Err: err} },
		"by the runtime": func(err error) error {
			return &persistence.Error{Kind: persistence.ErrorKindOf(err), Op: "ask", Err: err}
		},
		"joined by runtime": func(err error) error {
			return errors.Join(&persistence.Error{Kind: persistence.ErrorKindOf(err), Err: err})
		},
	}
	for name, c := range meanings {
		for how, wrap := range wrappings {
			err := wrap(c.err)
			class, _ := persistence.Classify(err)
			require.Equal(t, c.class, class, "%s, %s", name, how)
			require.Equal(t, c.class.Kind, persistence.ErrorKindOf(err), "%s, %s", name, how)
			if strings.HasPrefix(name, "several") {
				continue
			}
			for _, other := range persistence.Classes() {
				contradicts := other.Effect != class.Effect || other.Retry != class.Retry
				require.False(t, contradicts && errors.Is(err, other.Kind), "%s, %s, is also %q", name, how, other.Kind)
			}
		}
	}
}

// What a handler returns was not done and comes again, whatever it says of another
// command; and what it wants to be recognised by is found.
func TestWhatErrorsOfHandlersMean(t *testing.T) {
	t.Parallel()
	for name, c := range meanings {
		err := askAbout(t, c.err)
		class, _ := persistence.Classify(err)
		require.Equal(t, persistence.NotDone, class.Effect, name)
		require.False(t, class.Retry, name)
		require.Equal(t, c.err.Error(), err.Error(), name)
		for _, other := range persistence.Classes() {
			contradicts := other.Effect != class.Effect || other.Retry != class.Retry
			require.False(t, contradicts && errors.Is(err, other.Kind), "%s is also %q", name, other.Kind)
		}
	}
	require.Equal(t, errDomain, askAbout(t, errDomain), "unchanged")
	require.ErrorIs(t, askAbout(t, fmt.Errorf("pay: %w", context.Canceled)), context.Canceled)
}

// askAbout asks an aggregate whose handler returns an error.
func askAbout(t *testing.T, failure error) error {
	t.Helper()
	command := actors.NewCommand[visit, visited]("failing")
	failing := actors.Define("failing",
		actors.Handle(command, func(*struct{}, *actors.Tx, visit) (visited, error) { return visited{}, failure }))
	node, err := stele.Start(t.Context(), stele.Config{Journal: new(memory.Journal), Aggregates: stele.Aggregates{failing}})
	require.NoError(t, err)
	defer func() { require.NoError(t, node.Stop(context.WithoutCancel(t.Context()))) }()
	_, err = command.Ask(t.Context(), node, "a", visit{})
	require.Error(t, err)
	return err
}

// Whoever adds an error to a package says here what it means.
func TestEveryErrorHasAMeaning(t *testing.T) {
	t.Parallel()
	listed := map[string]bool{}
	for name := range meanings {
		name, _, _ = strings.Cut(name, "/")
		listed[name] = true
	}
	declared := exportedErrors(t)
	require.Greater(t, len(declared), 30)
	for name, at := range declared {
		require.True(t, listed[name], "%s in %s stands in no row of the table of errors in errormeanings_test.go", name, at)
	}
	for name := range listed {
		if strings.Contains(name, ".") {
			require.Contains(t, slices.Collect(maps.Keys(declared)), name)
		}
	}
}

// exportedErrors are the error values and types that packages of the library export,
// and where.
func exportedErrors(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	eachSource(t, func(path string, source []byte) {
		file, err := parser.ParseFile(token.NewFileSet(), path, source, 0)
		require.NoError(t, err)
		for _, name := range errorsOf(file) {
			found[file.Name.Name+"."+name] = path
		}
	})
	return found
}

// eachSource calls a function with each source file of the packages of the library.
func eachSource(t *testing.T, with func(path string, source []byte)) {
	t.Helper()
	root := os.DirFS("../..")
	require.NoError(t, fs.WalkDir(root, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			switch entry.Name() {
			case "internal", "bench", "examples", "tools", "proto", "testdata", ".git", "bin":
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		source, err := fs.ReadFile(root, path)
		if err != nil {
			return err
		}
		with(path, source)
		return nil
	}))
}

func errorsOf(file *ast.File) (names []string) {
	for _, declared := range file.Decls {
		switch d := declared.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil || d.Name.Name != "Error" || len(d.Type.Params.List) > 0 {
				continue
			}
			receiver := d.Recv.List[0].Type
			if star, ok := receiver.(*ast.StarExpr); ok {
				receiver = star.X
			}
			if name, ok := receiver.(*ast.Ident); ok && name.IsExported() && name.Name != "ErrorKind" {
				names = append(names, name.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if values, ok := spec.(*ast.ValueSpec); ok {
					for _, name := range values.Names {
						if strings.HasPrefix(name.Name, "Err") {
							names = append(names, name.Name)
						}
					}
				}
			}
		}
	}
	return names
}
