package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
)

// printMachine says what the figures were measured on.
func printMachine(ctx context.Context, log io.Writer) {
	fmt.Fprintf(log, "%-8s  %s, GOMAXPROCS %d, %s/%s\n", "machine", processor(), runtime.GOMAXPROCS(0), runtime.GOOS, runtime.GOARCH)
	fmt.Fprintf(log, "%-8s  %s, commit %s\n", "program", runtime.Version(), commit(ctx))
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
