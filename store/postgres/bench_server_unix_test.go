//go:build unix

package postgres_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// family is the processes of a server on this machine: the one that all others are children of.
type family struct{ parent int }

// familyOf finds the server that an address leads to. Where it is elsewhere, or the system
// does not tell of processes as Linux does, it has used no time.
func familyOf(b *testing.B, address string) family {
	b.Helper()
	conn, err := pgx.Connect(b.Context(), address)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(b.Context())
	own, err := readProcess(int(conn.PgConn().PID()))
	if err != nil || !strings.Contains(own.name, "postgres") {
		return family{}
	}
	return family{own.parent}
}

// cpu is what the server has used of the processors, with children that have ended.
func (f family) cpu() time.Duration {
	parent, err := readProcess(f.parent)
	if f.parent == 0 || err != nil {
		return 0
	}
	used := parent.used + parent.ended
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		var pid int
		if _, err := fmt.Sscanf(path, "/proc/%d/stat", &pid); err != nil {
			continue
		}
		if child, err := readProcess(pid); err == nil && child.parent == f.parent {
			used += child.used + child.ended
		}
	}
	return used
}

// process is what proc(5) says in stat, which counts ticks of 10 ms.
type process struct {
	name        string
	parent      int
	used, ended time.Duration // its own, and of children that have ended
}

func readProcess(pid int) (p process, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return p, err
	}
	name, rest, _ := strings.Cut(string(text), ") ") // which may have spaces
	var state string
	var skipped int
	var ticks [4]int
	_, err = fmt.Sscan(rest, &state, &p.parent, &skipped, &skipped, &skipped, &skipped, &skipped, &skipped, &skipped, &skipped, &skipped,
		&ticks[0], &ticks[1], &ticks[2], &ticks[3])
	const tick = 10 * time.Millisecond
	p.name, p.used, p.ended = name, time.Duration(ticks[0]+ticks[1])*tick, time.Duration(ticks[2]+ticks[3])*tick
	return p, err
}
