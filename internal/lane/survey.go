package lane

import "time"

// Wait is what the next due delivery of an endpoint waits for.
type Wait uint8

// The kinds of wait, in the order in which they are looked for.
const (
	ForNothing     Wait = iota // nothing is due
	ForResume                  // the endpoint, its tenant or everything is paused
	ForBreaker                 // the endpoint does not work: its breaker is open
	ForReceiver                // the receiver asked to be left alone
	ForRate                    // of the endpoint, or of its tenant
	ForPredecessor             // the endpoint is ordered, and one before has not ended
	ForEndpoint                // the endpoint has as many attempts in flight as it bears
	ForSlow                    // a place among the attempts that may be slow
	ForTurn                    // its turn: nothing else holds it
	waitKinds
)

// Survey is what the deliveries in memory wait for.
type Survey struct {
	Due [waitKinds]Due
	// Retries wait for their time in memory, sends among them; more may wait in the store.
	Retries int
	// Behind are endpoints of which more deliveries are due in the store than in memory.
	Behind int
	// MostUnsteady is the limit of Stats.Unsteady.
	MostUnsteady int
}

// Due is deliveries that may be sent as far as their own time is concerned.
type Due struct {
	Endpoints  int
	Deliveries int
	// Oldest is the age of the one that is due the longest, as far as it is known: that of
	// a fresh delivery read from the store without its payload is not.
	Oldest time.Duration
}

// Survey looks at every lane, a fifth of a microsecond each where they are many. It calls
// pause now and then, during which other steps may be made: it is no picture of one
// instant.
func (b *Board) Survey(now time.Time, pause func()) Survey {
	const stretch = 512 // lanes between two pauses
	s, looked := Survey{MostUnsteady: b.crowd.limit}, 0
	for _, l := range b.lanes { // a map may change while it is walked
		if looked++; looked%stretch == 0 {
			pause()
			if b.lanes[l.endpoint] != l {
				continue // let go meanwhile
			}
		}
		s.Retries += len(l.retries.waiting) + len(l.sends.waiting)
		if l.behind {
			s.Behind++
		}
		wait := b.waitsFor(l, now)
		if wait == ForNothing {
			continue
		}
		due := &s.Due[wait]
		due.Endpoints++
		due.Deliveries += l.due()
		due.Oldest = max(due.Oldest, l.age(now))
	}
	return s
}

func (b *Board) waitsFor(l *lane, now time.Time) Wait {
	if l.due() == 0 {
		return ForNothing
	}
	if wait, _ := b.shut(l, now); wait != ForNothing {
		return wait
	}
	of, resting := b.turns.tenants[l.tenant]
	switch {
	case l.settings.Closed: // they are ended
		return ForTurn
	case l.pace.next.After(now), resting && of.pace.next.After(now):
		return ForRate
	case !l.hasNext():
		return ForPredecessor
	case len(l.flights) >= min(l.room, l.settings.Concurrency):
		return ForEndpoint
	case l.crowded:
		return ForSlow
	}
	return ForTurn
}

// age is how long the lane's longest due delivery is due.
func (l *lane) age(now time.Time) (age time.Duration) {
	for _, w := range [...]*waits{&l.retries, &l.sends} {
		if w.due.len() > 0 {
			age = max(age, now.Sub(w.due.peek().Due))
		}
	}
	if l.fresh.len() > 0 {
		if head := l.fresh.peek(); head.Payload != nil {
			age = max(age, now.Sub(head.Payload.AcceptedAt))
		}
	}
	return max(0, age)
}
