package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
)

// delivered is one request that a sink got.
type delivered struct {
	id     string // webhook-id
	path   string
	header http.Header
	body   []byte
	count  int // how often this id has come to this path, from 1
}

// sink is a receiver that tells of every request in arrivals.
type sink struct {
	*httptest.Server
	arrivals chan delivered
	// answer decides on a request, and may hold it; nil answers 200.
	answer func(delivered) int

	mu     sync.Mutex // guards counts
	counts map[string]int
}

// newSink starts a receiver for the length of the test.
func newSink(t testing.TB, answer func(delivered) int) *sink {
	t.Helper()
	s := &sink{arrivals: make(chan delivered, 1<<16), answer: answer, counts: make(map[string]int)}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *sink) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil { // the sender was killed: nothing has come
		return
	}
	got := delivered{id: r.Header.Get("webhook-id"), path: r.URL.Path, header: r.Header, body: body}
	s.mu.Lock()
	s.counts[got.path+" "+got.id]++
	got.count = s.counts[got.path+" "+got.id]
	s.mu.Unlock()
	s.arrivals <- got
	if s.answer != nil {
		w.WriteHeader(s.answer(got))
	}
}

// times is how often each id has come, over all paths.
func (s *sink) times() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	times := make(map[string]int, len(s.counts))
	for key, n := range s.counts {
		times[key] = n
	}
	return times
}
