package measure

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// Machine says what the figures were measured on, and with which program.
type Machine struct {
	Processor  string `json:"processor"`
	GOMAXPROCS int    `json:"gomaxprocs"`
	Platform   string `json:"platform"`
	Go         string `json:"go"`
	Commit     string `json:"commit"`
}

// ThisMachine describes the machine that this process runs on.
func ThisMachine(ctx context.Context) Machine {
	return Machine{processor(), runtime.GOMAXPROCS(0), runtime.GOOS + "/" + runtime.GOARCH, runtime.Version(), commit(ctx)}
}

// Describe prints the machine for people.
func (m Machine) Describe(log io.Writer) {
	fmt.Fprintf(log, "%-8s  %s, GOMAXPROCS %d, %s\n", "machine", m.Processor, m.GOMAXPROCS, m.Platform)
	fmt.Fprintf(log, "%-8s  %s, commit %s\n", "program", m.Go, m.Commit)
}

// processor is the model's name where the system tells it.
func processor() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if name, value, found := strings.Cut(line, ":"); found && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return fmt.Sprintf("%d processors", runtime.NumCPU())
}

// commit asks git, because `go run` records no commit in what it builds.
func commit(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}
