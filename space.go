package neohook

import (
	"log/slog"
	"sync"
	"time"
)

// space watches how much is free where the store writes. When it is little no more events
// are taken, so that what is left is there for the outcomes of those that were.
type space struct {
	ask func() (int64, error) // nil = the store can't tell
	min int64                 // less than nothing = not watched
	log *slog.Logger

	mu      sync.Mutex
	checked time.Time
	free    int64 // unknownSpace where it is not known
	low     bool
}

const unknownSpace = -1

func newSpace(st any, floor int64, log *slog.Logger) *space {
	s := &space{min: floor, log: log, free: unknownSpace}
	if telling, can := st.(interface{ FreeBytes() (int64, error) }); can {
		s.ask = telling.FreeBytes
	}
	return s
}

// check returns what is free, asked at most once a second, and whether that is too little.
// What can't be told is enough.
func (s *space) check() (free int64, low bool) {
	const often = time.Second
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ask == nil || (!s.checked.IsZero() && time.Since(s.checked) < often) {
		return s.free, s.low
	}
	first := s.checked.IsZero()
	s.checked = time.Now()
	free, err := s.ask()
	if err != nil {
		if first {
			s.log.Warn("free space is not known and not watched", "error", err)
		}
		s.free, s.low = unknownSpace, false
		return s.free, s.low
	}
	low = free < s.min
	switch {
	case low && !s.low:
		s.log.Error("the disk is nearly full: no events are accepted until space is freed; what was accepted is delivered", "free_bytes", free, "min_free_bytes", s.min)
	case s.low && !low:
		s.log.Info("there is space again: events are accepted", "free_bytes", free)
	}
	s.free, s.low = free, low
	return free, low
}
