package actors_test

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A contract that does not fit its handler, its caller or its state is a mistake
// that the compiler finds, with a message that names the two types.
func TestWhatDoesNotCompile(t *testing.T) {
	t.Parallel()
	check := compiler(t)
	for name, c := range map[string]struct{ code, says string }{
		"all fits": {`
			var accounts = actors.Define("account", actors.Handle(withdraw, (*account).withdraw), actors.On((*account).withdrawn), actors.Strict[account]())
			func _(ctx context.Context, to actors.Asker) (*balance, error) { return withdraw.Ask(ctx, to, "ann", &amount{}, actors.IfVersion(3)) }
			func _(t actors.TB) { withdraw.Given(t, accounts, &amount{}).When(&amount{}).Then(&amount{}).Reply(&balance{}) }`, ""},
		"handler of another command": {
			`var _ = actors.Define("account", actors.Handle(withdraw, (*account).deposit))`,
			"type func(*account, *actors.Tx, *balance) (*balance, error) of (*account).deposit does not match inferred type",
		},
		"handler with another reply": {
			`var _ = actors.Define("account", actors.Handle(withdraw, (*account).look))`,
			"type func(*account, *actors.Tx, *amount) (*amount, error) of (*account).look does not match inferred type",
		},
		"handler of another state": {
			`var _ = actors.Define("account", actors.On((*account).withdrawn), actors.Handle(withdraw, (*other).withdraw))`,
			"type actors.Part[other] of actors.Handle(withdraw, (*other).withdraw) does not match inferred type actors.Part[account]",
		},
		"option of another state": {
			`var _ = actors.Define("account", actors.Handle(withdraw, (*account).withdraw), actors.Strict[other]())`,
			"does not match inferred type actors.Part[account]",
		},
		"applier that fails": {
			`var _ = actors.Define("account", actors.On((*account).try))`,
			"does not match",
		},
		"ask another command": {
			`func _(ctx context.Context, to actors.Asker) { withdraw.Ask(ctx, to, "ann", &balance{}) }`,
			"cannot use &balance{} (value of type *balance) as *amount value",
		},
		"ask a value for a pointer": {
			`func _(ctx context.Context, to actors.Asker) { withdraw.Ask(ctx, to, "ann", amount{}) }`,
			"cannot use amount{} (value of struct type amount) as *amount value",
		},
		"take another reply": {
			`func _(ctx context.Context, to actors.Asker) (*amount, error) { return withdraw.Ask(ctx, to, "ann", &amount{}) }`,
			`cannot use withdraw.Ask(ctx, to, "ann", &amount{}) (value of type *balance) as *amount value`,
		},
		"expect another reply": {
			`func _(t actors.TB, d actors.Definition) { withdraw.Given(t, d).When(&amount{}).Reply(&amount{}) }`,
			"cannot use &amount{} (value of type *amount) as *balance value",
		},
		"expect from another command": {
			`func _(t actors.TB, d actors.Definition) { withdraw.Given(t, d).When(&balance{}) }`,
			"cannot use &balance{} (value of type *balance) as *amount value",
		},
		"a definition of one's own": {
			`type mine struct{}; func (mine) Kind() string { return "mine" }; var _ actors.Definition = mine{}`,
			"missing method definition",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := check(c.code)

			if c.says == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.says)
		})
	}
}

// compiler type-checks small programs against the packages as they are built.
func compiler(t *testing.T) func(code string) error {
	t.Helper()
	list := exec.Command("go", "list", "-export", "-deps", "-f", "{{if .Export}}{{.ImportPath}} {{.Export}}{{end}}", ".")
	list.Stderr = os.Stderr
	out, err := list.Output()
	require.NoError(t, err)
	exports := map[string]string{}
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		exports[path] = file
	}
	return func(code string) error {
		const before = `package program
			import ("context"; "github.com/stele-es/stele/actors")
			type (amount struct{}; balance struct{}; account struct{}; other struct{})
			var withdraw = actors.NewCommand[*amount, *balance]("account")
			var _ context.Context
			func (*account) withdraw(*actors.Tx, *amount) (*balance, error) { return nil, nil }
			func (*account) deposit(*actors.Tx, *balance) (*balance, error) { return nil, nil }
			func (*account) look(*actors.Tx, *amount) (*amount, error) { return nil, nil }
			func (*account) withdrawn(*amount) {}
			func (*account) try(*amount) error { return nil }
			func (*other) withdraw(*actors.Tx, *amount) (*balance, error) { return nil, nil }
			`
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, "program.go", before+code, 0)
		if err != nil {
			return err
		}
		config := types.Config{Importer: importer.ForCompiler(files, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })}
		_, err = config.Check("program", files, []*ast.File{file}, nil)
		return err
	}
}
