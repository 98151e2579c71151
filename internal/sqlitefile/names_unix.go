//go:build unix

package sqlitefile

import (
	"os"
	"syscall"
)

func names(info os.FileInfo) int {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || info.IsDir() {
		return 0
	}
	return int(stat.Nlink)
}
