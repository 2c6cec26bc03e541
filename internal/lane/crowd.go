package lane

import (
	"time"

	"github.com/neohook/neohook/store"
)

// An attempt that takes longer than this is slow.
const slowAfter = time.Second

// crowd keeps a share of all attempts for endpoints that are known to answer soon. The
// others, slow ones and those nobody knows yet, share the rest, so that any number of
// receivers that hang leave the good ones their place.
type crowd struct {
	limit  int // most attempts of endpoints that are not steady
	flying int // so many there are
	// aging is the attempts of the last moments, to notice those that become slow.
	aging queue[aging]
	// waiting is lanes that would send if there was a place.
	waiting queue[*lane]
	// steady remembers endpoints whose lane was let go.
	steady map[store.EndpointKey]struct{}
}

type aging struct {
	endpoint store.EndpointKey
	of       ref
	began    time.Time
}

// mostSteady bounds what is remembered. When it is full all is forgotten: it costs
// nothing unless attempts are short just then.
const mostSteady = 1 << 17

// steadyShare of ten attempts are kept for steady endpoints.
const steadyShare = 3

func newCrowd(attempts int) crowd {
	return crowd{
		limit:  max(1, attempts*(10-steadyShare)/10),
		steady: make(map[store.EndpointKey]struct{}),
	}
}

// admits says whether an attempt of a lane has a place.
func (c *crowd) admits(l *lane) bool { return l.steady || c.flying < c.limit }

// wait lets a lane wait for a place.
func (c *crowd) wait(l *lane) {
	if !l.crowded {
		l.crowded = true
		c.waiting.push(l)
	}
}

func (c *crowd) begin(l *lane, f flight) {
	if !l.steady {
		c.flying++
	}
	c.aging.push(aging{l.endpoint, f.of, f.began})
}

// end notes that an attempt is over.
func (c *crowd) end(l *lane) {
	if !l.steady {
		c.flying--
	}
}

// judge changes what is thought of an endpoint.
func (c *crowd) judge(l *lane, steady bool) {
	switch {
	case steady && !l.steady:
		c.flying -= len(l.flights)
	case !steady && l.steady:
		c.flying += len(l.flights)
	}
	l.steady = steady
	l.crowded = l.crowded && !steady // it needs no place among the slow
}

// takeIn returns a lane that waited and may be let in, or nil.
func (c *crowd) takeIn() *lane {
	for c.waiting.len() > 0 && c.flying < c.limit {
		l := c.waiting.pop()
		if l.crowded {
			l.crowded = false
			return l
		}
	}
	return nil
}

func (c *crowd) remember(l *lane) {
	if !l.steady {
		delete(c.steady, l.endpoint)
		return
	}
	if len(c.steady) >= mostSteady {
		clear(c.steady)
	}
	c.steady[l.endpoint] = struct{}{}
}
