package lane

import "time"

// pace spaces attempts evenly. There is no burst: time that was not used is gone.
type pace struct {
	next time.Time // not before
}

// interval between attempts at a rate; 0 for none.
func interval(rate int) time.Duration {
	if rate <= 0 {
		return 0
	}
	return time.Second / time.Duration(rate)
}

// take notes that an attempt begins.
func (p *pace) take(now time.Time, rate int) {
	if rate > 0 {
		p.next = now.Add(interval(rate))
	}
}

// byPace is a heap of tenants, the soonest to go on on top.
type byPace []*tenantTurns

func (h byPace) Len() int           { return len(h) }
func (h byPace) Less(i, j int) bool { return h[i].pace.next.Before(h[j].pace.next) }
func (h byPace) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *byPace) Push(x any)        { *h = append(*h, x.(*tenantTurns)) }
func (h *byPace) Pop() any {
	last := len(*h) - 1
	of := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return of
}
