//go:build unix

package httpadapter

import (
	"net"
	"syscall"
)

// probe looks at a connection that should be silent.
type probe struct {
	raw   syscall.RawConn
	look  func(fd uintptr) bool // made once: it would be an allocation each time
	still bool
}

func newProbe(conn net.Conn) *probe {
	for {
		under, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = under.NetConn()
	}
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil
	}
	p := &probe{raw: raw}
	p.look = func(fd uintptr) bool {
		var one [1]byte
		for {
			// The socket does not block. Whatever can be read now, an end or a byte, was
			// not asked for.
			_, err := syscall.Read(int(fd), one[:])
			if err != syscall.EINTR {
				p.still = err == syscall.EAGAIN
				return true
			}
		}
	}
	return p
}

// quiet says that there is nothing to read, not even the end. It spoils a connection for
// which it returns false.
func (p *probe) quiet() bool {
	p.still = false
	return p.raw.Read(p.look) == nil && p.still
}
