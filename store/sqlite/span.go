package sqlite

import "context"

// spanBits is how many low bits of a key tell the keys of a span apart: see the
// migration, where it is written too.
const spanBits = 13

// spans remembers which owners are known to have keys in the newest span, so that this is
// written once for each.
type spans struct {
	insertSQL string
	span      int64
	owners    map[int64]struct{}
}

// note sees to it that the owner's part of a list is found that has the key.
func (s *spans) note(ctx context.Context, c *conn, owner, key int64) error {
	if span := key >> spanBits; span != s.span || s.owners == nil {
		s.span, s.owners = span, make(map[int64]struct{})
	}
	if _, known := s.owners[owner]; known {
		return nil
	}
	if _, err := c.exec(ctx, s.insertSQL, owner, s.span); err != nil {
		return err
	}
	s.owners[owner] = struct{}{}
	return nil
}

// forget is for a transaction that was undone.
func (s *spans) forget() { s.owners = nil }
