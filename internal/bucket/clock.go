package bucket

import (
	"sync"
	"time"
)

// Instant is a moment as a node's clocks tell it, since a moment of its own. Instants of
// different nodes have nothing to do with each other.
type Instant struct {
	// Short passes no faster than time does: while the machine is stopped it may stand still.
	Short time.Duration
	// Long passes no slower, as far as any clock can tell.
	Long time.Duration
}

// clock makes Instants of a machine's two clocks: one that never jumps, and may stand still
// while the machine does; and the one that people set, which alone tells then. It is safe
// for concurrent use.
type clock struct {
	mu         sync.Mutex
	mono, wall time.Duration
	long       time.Duration
}

// read tells the time. It must be read about every second: a machine that is stopped after
// its clock was set back, and before it was read, takes the time for shorter than it was.
func (c *clock) read(mono, wall time.Duration) Instant {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.long += max(mono-c.mono, wall-c.wall, 0)
	c.mono, c.wall = mono, wall
	return Instant{Short: mono, Long: c.long}
}
