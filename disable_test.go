package neohook_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/webhook"
)

// journal keeps what a Logger is told.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
	told chan struct{} // a value for each line
}

func newJournal() *journal { return &journal{told: make(chan struct{}, 1000)} }

func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.told <- struct{}{}
	return j.text.Write(line)
}

func (j *journal) logger() *slog.Logger { return slog.New(slog.NewJSONHandler(j, nil)) }

// entry is a line about an endpoint.
type entry struct {
	Time       time.Time `json:"time"`
	Level      string    `json:"level"`
	Message    string    `json:"msg"`
	EndpointID string    `json:"endpoint_id"`
	Percent    int       `json:"percent"`
}

func (j *journal) entries(t *testing.T) (entries []entry) {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	for line := range strings.Lines(j.text.String()) {
		var e entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
	}
	return entries
}

// scripted is an adapter that answers at once, with no network.
type scripted struct{ status atomic.Int64 }

func (s *scripted) Deliver(_ context.Context, _ *webhook.Delivery, ep *webhook.Endpoint) webhook.Result {
	status := int(s.status.Load())
	return webhook.Result{
		Success: status < 300, StatusCode: status, URL: ep.URL, StartedAt: time.Now(), CompletedAt: time.Now(),
	}
}

func (s *scripted) Verify(context.Context, *webhook.Endpoint, []byte) webhook.Result {
	return webhook.Result{Success: true}
}

func (s *scripted) Health(context.Context) webhook.Health {
	return webhook.Health{Status: webhook.Healthy}
}

// Days of failing, in a bubble: told at half and at nine tenths of the time, once each
// though the engine begins anew in between, and then disabled.
func TestEndpointWithoutASuccessForFiveDaysIsDisabled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, adapter, log := memstore.New(), new(scripted), newJournal()
		opts := neohook.Options{Keyset: must[[]byte](t)(neohook.NewKeyset()), Adapter: adapter, Jitter: -1, Logger: log.logger()}
		eng, stop := start(t, st, opts)
		createTenant(t, eng, "acme")
		good := createEndpoint(t, eng, "acme", webhook.Endpoint{UID: "good", URL: "https://good.example/", EventTypes: []string{"good"}})
		bad := createEndpoint(t, eng, "acme", webhook.Endpoint{UID: "bad", URL: "https://bad.example/"})

		adapter.status.Store(200)
		publish(t, eng, "acme", `{}`) // it worked once
		synctest.Wait()
		time.Sleep(time.Hour)
		adapter.status.Store(500)
		began := time.Now()
		hours := 0
		for ; hours < 24*6; hours++ {
			if found := must[webhook.Endpoint](t)(eng.Endpoint(t.Context(), "acme", bad.ID)); found.Disabled {
				break
			}
			publish(t, eng, "acme", fmt.Sprintf(`{"hour":%d}`, hours))
			time.Sleep(time.Hour)
			if hours == 55 || hours == 70 || hours == 110 {
				stop()
				eng, stop = start(t, st, opts)
			}
		}
		if passed := time.Since(began); passed < 5*24*time.Hour || passed > 5*24*time.Hour+2*time.Hour {
			t.Errorf("disabled after %v", passed)
		}
		if found := must[webhook.Endpoint](t)(eng.Endpoint(t.Context(), "acme", good.ID)); found.Disabled {
			t.Error("the other endpoint is disabled too")
		}
		type told struct {
			after   time.Duration
			percent int
		}
		var got []told
		for _, e := range log.entries(t) {
			if e.EndpointID != string(bad.ID) || e.Level != "WARN" {
				t.Errorf("logged %+v", e)
			}
			got = append(got, told{e.Time.Sub(began).Round(time.Hour), e.Percent})
		}
		if want := []told{{60 * time.Hour, 50}, {108 * time.Hour, 90}, {120 * time.Hour, 0}}; !slices.Equal(got, want) {
			t.Errorf("told %+v, want %+v", got, want)
		}

		// Enabled again, it has all the time again, also for an engine that begins anew.
		must[webhook.Endpoint](t)(eng.UpdateEndpoint(t.Context(), "acme", bad.ID, func(ep *webhook.Endpoint) error { ep.Disabled = false; return nil }))
		publish(t, eng, "acme", `{}`)
		time.Sleep(time.Hour)
		stop()
		eng, stop = start(t, st, opts)
		publish(t, eng, "acme", `{}`)
		time.Sleep(2 * 24 * time.Hour)
		if found := must[webhook.Endpoint](t)(eng.Endpoint(t.Context(), "acme", bad.ID)); found.Disabled {
			t.Error("disabled again at once")
		}
		if lines := len(log.entries(t)); lines != 3 {
			t.Errorf("%d lines, want 3", lines)
		}
		stop()
	})
}

func TestOneSuccessGivesAnEndpointAllItsTimeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st, adapter, log := memstore.New(), new(scripted), newJournal()
		var marks atomic.Int64 // what the store was told of failing
		opts := neohook.Options{Keyset: must[[]byte](t)(neohook.NewKeyset()), Adapter: adapter, Logger: log.logger(), Schedule: webhook.Schedule{}}
		eng, stop := start(t, st, opts)
		createTenant(t, eng, "acme")
		ep := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://up.example/"})
		for day := range 20 {
			adapter.status.Store(500)
			if day%2 == 1 {
				adapter.status.Store(200)
			}
			publish(t, eng, "acme", `{}`)
			time.Sleep(24 * time.Hour)
			failing := must[[]store.FailingEndpoint](t)(st.FailingEndpoints(t.Context(), 0, 9))
			if (len(failing) == 1) != (day%2 == 0) {
				t.Errorf("day %d: stored %+v", day, failing)
			}
			marks.Add(int64(len(failing)))
			if day%5 == 0 {
				stop()
				eng, stop = start(t, st, opts)
			}
		}
		if found := must[webhook.Endpoint](t)(eng.Endpoint(t.Context(), "acme", ep.ID)); found.Disabled || len(log.entries(t)) > 0 {
			t.Errorf("disabled %v, told %+v", found.Disabled, log.entries(t))
		}
		if marks.Load() != 10 {
			t.Errorf("stored as failing on %d days, want 10", marks.Load())
		}
		stop()
	})
}

func TestFailingEndpointIsDisabledOverSQLiteToo(t *testing.T) {
	folder, log := t.TempDir(), newJournal()
	r := receive(t, func(*http.Request) int { return http.StatusInternalServerError })
	opts := neohook.Options{
		DisableAfter: 300 * time.Millisecond, Logger: log.logger(), Jitter: -1,
		// Longer than it has, and fewer attempts than open the breaker.
		Schedule: slices.Repeat(webhook.Schedule{50 * time.Millisecond}, 15),
	}
	st := openStore(t, folder)
	eng, stop := start(t, st, opts)
	createTenant(t, eng, "acme")
	ep := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: r.URL})
	publish(t, eng, "acme", `{}`)
	<-log.told
	stop()
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	eng, _ = start(t, openStore(t, folder), opts)
	seen := map[int]int{}
	for range log.told {
		if lines := log.entries(t); strings.Contains(lines[len(lines)-1].Message, "was disabled") {
			break
		}
	}
	if found := must[webhook.Endpoint](t)(eng.Endpoint(t.Context(), "acme", ep.ID)); !found.Disabled {
		t.Error("it is not disabled")
	}
	for _, e := range log.entries(t) {
		seen[e.Percent]++
	}
	if seen[50] > 1 || seen[90] > 1 || seen[50]+seen[90] == 0 {
		t.Errorf("told %v", seen)
	}
}
