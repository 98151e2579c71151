package sqlite

import "golang.org/x/sys/unix"

// remote reports whether a directory lies on a file system of another machine,
// as far as its type tells. 9P is left out: sandboxes show local disks that way.
func remote(directory string) bool {
	var stat unix.Statfs_t
	if err := unix.Statfs(directory, &stat); err != nil {
		return false // opening the file will tell what is wrong
	}
	return remoteType(uint32(stat.Type))
}

func remoteType(magic uint32) bool {
	switch magic {
	case unix.NFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.CEPH_SUPER_MAGIC, unix.AFS_SUPER_MAGIC:
		return true
	}
	return false
}

// volatile reports whether a directory lies in memory.
func volatile(directory string) bool {
	var stat unix.Statfs_t
	if err := unix.Statfs(directory, &stat); err != nil {
		return false
	}
	return uint32(stat.Type) == unix.TMPFS_MAGIC || uint32(stat.Type) == unix.RAMFS_MAGIC
}
