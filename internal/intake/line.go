package intake

import "github.com/neohook/neohook/store"

// place says in which stage an item is.
type place uint8

const (
	inside  place = iota // it has its place among those to commit, until it is answered
	outside              // its publisher waits for one
	places
)

// stage is a part of the queue with a bound of its own.
type stage struct {
	limit int64
	bytes int64 // of all items of the stage, those that are being committed included
	count int   // of events that wait in it
	turns list[line]
}

// line is the items of one tenant, in order of arrival.
type line struct {
	tenant store.TenantKey
	parts  [places]part
}

// part is what a line has in one stage.
type part struct {
	bytes int64
	items list[Item]
	turn  link[line]
}

func newLine(tenant store.TenantKey) *line {
	l := &line{tenant: tenant}
	for i := range l.parts {
		l.parts[i].turn.of = l
	}
	return l
}

func (l *line) empty() bool { return l.parts[inside].bytes+l.parts[outside].bytes == 0 }

// holds says whether a stage has the bytes to spare.
func (s *stage) holds(size int64) bool { return s.bytes+size <= s.limit }

// grants says whether a tenant may have that much more of a stage: together at most what
// is left free (the dynamic threshold of Choudhury and Hahne, IEEE/ACM Transactions on
// Networking 6(2), 1998). So one tenant gets half of it, two get a third each, and there
// is room for another one's first.
func (s *stage) grants(own *part, size int64) bool {
	return own.bytes == 0 || own.bytes+size <= s.limit-s.bytes
}

// put adds an item to its tenant's line.
func (s *stage) put(own *part, item *Item) {
	s.bytes += item.size
	own.bytes += item.size
	s.count += item.count()
	own.items.push(&item.link)
	if !own.turn.listed {
		s.turns.push(&own.turn)
	}
}

// pull ends an item's waiting in the stage; its bytes still count.
func (s *stage) pull(own *part, item *Item) {
	s.count -= item.count()
	own.items.remove(&item.link)
	if own.items.first == nil {
		s.turns.remove(&own.turn)
	}
}

// free gives back the bytes of an item.
func (s *stage) free(own *part, item *Item) {
	s.bytes -= item.size
	own.bytes -= item.size
}

// pass gives the turn to the next tenant.
func (s *stage) pass(own *part) {
	if own.turn.listed {
		s.turns.remove(&own.turn)
		s.turns.push(&own.turn)
	}
}
