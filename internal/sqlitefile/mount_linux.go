package sqlitefile

import (
	"path/filepath"

	"golang.org/x/sys/unix"
)

// mounted reports whether a file is a mount of its own, as far as the kernel tells.
func mounted(file string) bool {
	own, known := mountOf(file)
	above, alsoKnown := mountOf(filepath.Dir(file))
	return known && alsoKnown && own != above
}

func mountOf(path string) (id uint64, known bool) {
	var stat unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_MNT_ID, &stat)
	return stat.Mnt_id, err == nil && stat.Mask&unix.STATX_MNT_ID != 0
}
