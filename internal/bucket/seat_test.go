package bucket

import (
	"testing"
	"time"

	"github.com/neohook/neohook/store"
)

// seconds is an instant by clocks that agree.
func seconds(at int) Instant {
	return Instant{Short: time.Duration(at) * time.Second, Long: time.Duration(at) * time.Second}
}

// joined is a Seat that has become a node.
func joined(t *testing.T, node store.NodeKey) *Seat {
	t.Helper()
	s := NewSeat(store.Member{Delivers: true})
	join(t, s, node)
	return s
}

func join(t *testing.T, s *Seat, node store.NodeKey) {
	t.Helper()
	next(t, s, Join, Result{Node: node})
}

// next wants the next action to be of a kind, and ends it.
func next(t *testing.T, s *Seat, kind Kind, r Result) Action {
	t.Helper()
	a := s.Next()
	if a.Kind != kind {
		t.Fatalf("next is %v, want %v", a.Kind, kind)
	}
	if kind != Nothing {
		s.Done(a, r)
	}
	return a
}

// sees is a beat that is answered at once.
func sees(t *testing.T, s *Seat, now Instant, view *store.View) {
	t.Helper()
	b, is := s.Beat(now)
	if !is {
		t.Fatal("there is nothing to beat for")
	}
	s.Beaten(b, *view, nil, now)
}

func TestViewOfBeforeAClaimIsNotActedUpon(t *testing.T) {
	s := joined(t, 1)
	free := viewOf(0)
	sees(t, s, seconds(0), free)
	claim := s.Next()
	early, _ := s.Beat(seconds(1))
	s.Done(claim, Result{Claims: claim.Buckets})
	next(t, s, Gain, Result{})
	s.Beaten(early, *free, nil, seconds(2))
	next(t, s, Nothing, Result{})
	if !s.Hurries() {
		t.Error("it does not look again")
	}
	sees(t, s, seconds(3), viewOf(store.BucketCount))
	next(t, s, Nothing, Result{})
}

func TestBeatOfAnEarlierNodeCountsForNothing(t *testing.T) {
	s := joined(t, 1)
	old, _ := s.Beat(seconds(0))
	sees(t, s, seconds(0), viewOf(0, 512))
	s.Beaten(func() Beat { b, _ := s.Beat(seconds(1)); return b }(), store.View{}, store.ErrBuried, seconds(1))
	next(t, s, Drop, Result{})
	join(t, s, 3)
	s.Beaten(old, *viewOf(0, 512), nil, seconds(1))
	if s.Lease.Holds(seconds(2)) {
		t.Error("the lease holds by the beat of a node that was buried")
	}
	next(t, s, Nothing, Result{})
}

func TestClockThatIsSetDoesNotShortenPatience(t *testing.T) {
	s := joined(t, 1)
	view := viewOf(512, 512)
	view.Nodes[1].Name = "second"
	for at := range 4 {
		now := seconds(3 * at)
		if at > 0 {
			now.Long += 3 * time.Second
		}
		sees(t, s, now, view)
		for a := s.Next(); a.Kind != Nothing; a = s.Next() {
			if a.Kind == Bury {
				t.Fatalf("buried %v after the counter was first seen", now.Short)
			}
			s.Done(a, Result{Claims: a.Buckets})
		}
	}
	sees(t, s, Instant{Short: 10 * time.Second, Long: 13 * time.Second}, view)
	if a := s.Next(); a.Kind != Bury || a.Node != 2 || a.Member.Name != "second" {
		t.Errorf("then %+v, want the burial of 2, by its name", a)
	}
}
