//go:build unix

package artifact

import (
	"io/fs"
	"syscall"
)

// inode tells a file from another that was renamed into its place.
func inode(info fs.FileInfo) uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return s.Ino
	}
	return 0
}
