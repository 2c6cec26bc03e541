//go:build !windows

package httpadapter

import "syscall"

// What the system says of a connection.
var (
	refusedErrors     = []syscall.Errno{syscall.ECONNREFUSED}
	unreachableErrors = []syscall.Errno{syscall.EHOSTUNREACH, syscall.ENETUNREACH}
	resetErrors       = []syscall.Errno{syscall.ECONNRESET, syscall.ECONNABORTED, syscall.EPIPE}
)
