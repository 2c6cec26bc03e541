package memstore

import (
	"context"

	"github.com/neohook/neohook/store"
)

// underWay is a commit that has drawn its keys, of which nothing is visible yet. Others
// with higher keys may become visible before it.
type underWay struct{ from, used int64 }

func (u *underWay) next() store.EventKey {
	u.used++
	return store.EventKey(u.from + u.used - 1)
}

// draw takes the keys of so many events.
func (db *state) draw(count int) *underWay {
	keys := &underWay{from: db.lastEvent + 1}
	db.lastEvent += int64(count)
	db.underWay[keys] = struct{}{}
	return keys
}

// settle ends a commit, by what is done if the store is still open.
func (s *Store) settle(keys *underWay, do func(*state) error) error {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	delete(s.state.underWay, keys)
	s.state.tell()
	if s.isClosed() {
		return store.ErrClosed
	}
	return s.state.writeAs(s.as, do)
}

// tell wakes whoever waits for commits under way.
func (db *state) tell() {
	close(db.settled)
	db.settled = make(chan struct{})
}

// settled waits until no commit is under way that had drawn keys before the call, and
// returns the highest key that was drawn.
func (s *Store) settled(ctx context.Context) (through store.EventKey, err error) {
	err = s.apply(func(db *state) error {
		through = store.EventKey(db.lastEvent)
		return nil
	})
	for err == nil {
		var wait <-chan struct{}
		err = s.apply(func(db *state) error {
			for keys := range db.underWay {
				if keys.from <= int64(through) {
					wait = db.settled
				}
			}
			return nil
		})
		if err != nil || wait == nil {
			return through, err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return through, err
}
