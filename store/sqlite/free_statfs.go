//go:build linux || darwin || freebsd

package sqlite

import "syscall"

func freeBytes(folder string) (int64, error) {
	var stat syscall.Statfs_t
	if err := syscall.Statfs(folder, &stat); err != nil {
		return 0, err
	}
	// The types differ from system to system.
	return int64(stat.Bavail) * int64(stat.Bsize), nil //nolint:gosec,unconvert,nolintlint // no file system is that large
}
