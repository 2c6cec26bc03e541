package httpadapter

import "syscall"

// What the system says of a connection: Winsock's numbers, of which package syscall has
// but a few.
var (
	refusedErrors     = []syscall.Errno{10061}
	unreachableErrors = []syscall.Errno{10065, 10051}
	resetErrors       = []syscall.Errno{syscall.WSAECONNRESET, syscall.WSAECONNABORTED}
)
