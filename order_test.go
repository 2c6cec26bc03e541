package neohook_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/webhook"
)

// orderly is what a receiver that fails some events sees of them.
type orderly struct {
	mu       sync.Mutex
	flying   int
	overlaps int
	tries    map[string]int
	order    []string // webhook-id of each request
	came     chan struct{}
	statuses func(id string, try int) int
}

func (o *orderly) answer(r *http.Request) int {
	id := r.Header.Get("webhook-id")
	o.mu.Lock()
	if o.flying++; o.flying > 1 {
		o.overlaps++
	}
	o.tries[id]++
	try := o.tries[id]
	o.order = append(o.order, id)
	o.mu.Unlock()

	select { // one that overlaps would come now
	case o.came <- struct{}{}:
	case <-o.came:
	case <-time.After(time.Millisecond):
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.flying--
	return o.statuses(id, try)
}

func TestOrderedEndpointGetsOneAtATimeInTheOrderOfAcceptanceAcrossARestart(t *testing.T) {
	folder := t.TempDir()
	var mu sync.Mutex
	fails := make(map[string]int) // how often an event fails
	seen := &orderly{tries: make(map[string]int), came: make(chan struct{})}
	seen.statuses = func(id string, try int) int {
		mu.Lock()
		defer mu.Unlock()
		if try <= fails[id] {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	}
	r := receive(t, seen.answer)
	st := openStore(t, folder)
	eng, stop := start(t, st, neohook.Options{Jitter: -1})
	createTenant(t, eng, "acme")
	createEndpoint(t, eng, "acme", webhook.Endpoint{
		URL: r.URL, Ordered: true, Concurrency: 8, Schedule: webhook.Schedule{400 * time.Millisecond, 10 * time.Millisecond},
	})

	var want []string
	var events []webhook.Event
	accept := func(from, to int) {
		for i := from; i < to; i++ {
			mu.Lock() // the receiver waits for the plan
			event := publish(t, eng, "acme", fmt.Sprintf(`{"n":%d}`, i))
			switch i % 10 {
			case 3:
				fails[string(event.ID)] = 1
			case 7:
				fails[string(event.ID)] = 3 // ends without success
			}
			tries := min(fails[string(event.ID)]+1, 3)
			mu.Unlock()
			events = append(events, event)
			want = append(want, slices.Repeat([]string{string(event.ID)}, tries)...)
		}
	}
	accept(0, 30)
	attempts(t, eng, events[3], 1) // and it waits for its second one
	stop()
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if behind := len(r.got); behind > 4 {
		t.Errorf("%d requests before the restart: the failed one was overtaken", behind)
	}
	eng, _ = start(t, openStore(t, folder), neohook.Options{Jitter: -1})
	accept(30, 40)
	for range want {
		r.next(t)
	}
	attempts(t, eng, events[39], 1)

	seen.mu.Lock()
	defer seen.mu.Unlock()
	if !slices.Equal(seen.order, want) {
		t.Errorf("arrived %v\nwant    %v", seen.order, want)
	}
	if seen.overlaps > 0 {
		t.Errorf("%d requests while another was in flight", seen.overlaps)
	}
}
