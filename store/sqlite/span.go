package sqlite

import "context"

// spanBits is how many low bits of a key tell the keys of a span apart: see the
// migration for what a span is, and a strip. Queries have both as numbers: 7 bits of a
// strip, and 6 for the strips of a span.
const (
	spanBits  = 13
	stripBits = 7
)

// spans remembers which owners are known to have keys in which span, so that this is
// written once for each.
type spans struct {
	insertSQL string
	known     map[ownedSpan]struct{}
}

type ownedSpan struct{ owner, span int64 }

// mostKnownSpans bounds the memory of a spans. What ends late is of older spans than what
// comes new, so the newest alone would not do.
const mostKnownSpans = 1 << 15

// note sees to it that the owner's part of a list is found that has the key.
func (s *spans) note(ctx context.Context, c *conn, owner, key int64) error {
	at := ownedSpan{owner, key >> spanBits}
	if _, known := s.known[at]; known {
		return nil
	}
	if _, err := c.exec(ctx, s.insertSQL, at.owner, at.span); err != nil {
		return err
	}
	if s.known == nil || len(s.known) == mostKnownSpans {
		s.known = make(map[ownedSpan]struct{})
	}
	s.known[at] = struct{}{}
	return nil
}

// forget is for a transaction that was undone.
func (s *spans) forget() { s.known = nil }
