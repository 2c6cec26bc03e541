package neohook_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/httpapi"
	"github.com/neohook/neohook/signature"
	"github.com/neohook/neohook/store/postgres"
	"github.com/neohook/neohook/store/postgres/postgrestest"
	"github.com/neohook/neohook/webhook"
)

// overPostgres is an engine on a PostgreSQL server that can be taken away, and its API.
type overPostgres struct {
	*testing.T
	eng   *neohook.Engine
	api   *httptest.Server
	token string
	log   lines
}

// lines are a log's.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *lines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(strings.TrimSpace(l.text.String()), "\n")
}

func startOverPostgres(t *testing.T, address string) *overPostgres {
	t.Helper()
	keyset, err := neohook.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	st, err := postgres.Open(t.Context(), address, postgres.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.Close() })
	o := &overPostgres{T: t}
	log := slog.New(slog.NewTextHandler(&o.log, nil))
	o.eng, _ = start(t, st, neohook.Options{Keyset: keyset, Logger: log, Schedule: webhook.Schedule{}, Grace: time.Second})
	o.until("one of the nodes", func() bool {
		_, text, err := o.eng.CreateToken(t.Context(), adminToken)
		if err != nil && !errors.Is(err, neohook.ErrOverloaded) {
			t.Fatal(err)
		}
		o.token = string(text)
		return err == nil
	})
	api, err := httpapi.New(o.eng, httpapi.Options{Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	o.api = httptest.NewServer(api)
	t.Cleanup(o.api.Close)
	return o
}

// call asks the API, and returns its answer without the body.
func (o *overPostgres) call(method, path, body string) *http.Response {
	o.Helper()
	req, err := http.NewRequestWithContext(o.Context(), method, o.api.URL+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		o.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+o.token)
	req.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		o.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer
}

func (o *overPostgres) must(method, path, body string) {
	o.Helper()
	if answer := o.call(method, path, body); answer.StatusCode/100 != 2 {
		o.Fatalf("%s %s: %s", method, path, answer.Status)
	}
}

func (o *overPostgres) offer(n int) *http.Response {
	o.Helper()
	return o.call(http.MethodPost, "/app/acme/msg", fmt.Sprintf(`{"eventType":"a","eventId":"e%d","payload":{"n":%d}}`, n, n))
}

// until asks again and again, for a minute.
func (o *overPostgres) until(what string, is func() bool) {
	o.Helper()
	ctx, cancel := context.WithTimeout(o.Context(), time.Minute)
	defer cancel()
	for tick := time.NewTicker(50 * time.Millisecond); !is(); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			o.Fatal("never: " + what)
		}
	}
}

// The server crashes while attempts are in flight, is away for a while, and comes back.
func TestDatabaseIsAwayForAWhile(t *testing.T) {
	cluster := postgrestest.Own(t, "fsync=off")
	const flying = 8
	answering := make(chan struct{})
	var arrived sync.WaitGroup
	arrived.Add(flying)
	hooks := receive(t, func(r *http.Request) int {
		select {
		case <-answering:
		default:
			arrived.Done()
			<-answering
		}
		return http.StatusNoContent
	})
	o := startOverPostgres(t, cluster.Address())
	o.must(http.MethodPost, "/app", `{"name":"Acme","uid":"acme"}`)
	o.must(http.MethodPost, "/app/acme/endpoint", fmt.Sprintf(`{"url":%q,"uid":"ep"}`, hooks.URL))
	for n := range flying {
		o.must(http.MethodPost, "/app/acme/msg", fmt.Sprintf(`{"eventType":"a","eventId":"e%d","payload":{"n":%d}}`, n, n))
	}
	arrived.Wait()
	if err := cluster.Stop(true); err != nil {
		t.Fatal(err)
	}
	close(answering) // outcomes come while nobody takes them
	began := len(o.log.all())
	const publishing = 40
	for n := range publishing {
		answer := o.offer(1000 + n)
		if answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" {
			t.Fatalf("published while the database is away: %s, Retry-After %q", answer.Status, answer.Header.Get("Retry-After"))
		}
	}
	if answer := o.call(http.MethodGet, "/health", ""); answer.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("health while the database is away: %s", answer.Status)
	}
	told := o.log.all()[began:]
	const few = 12 // one or so from each that needs the database
	if len(told) > few {
		t.Errorf("%d lines of log for %d refused requests:\n%s", len(told), publishing, strings.Join(told, "\n"))
	}

	if err := cluster.Start(t.Context(), "fsync=off"); err != nil {
		t.Fatal(err)
	}
	o.until("published again", func() bool { return o.offer(2000).StatusCode/100 == 2 })
	o.until("all recorded", func() bool {
		page, err := o.eng.DeliveriesAtEndpoint(t.Context(), "acme", "ep", neohook.DeliveryFilter{}, neohook.Page{Limit: 100})
		if err != nil {
			return false
		}
		ended := 0
		for _, delivery := range page.Items {
			if delivery.State == webhook.Succeeded {
				ended++
			}
		}
		return ended == flying+1
	})
	times := make(map[string]int)
	for len(hooks.got) > 0 {
		times[(<-hooks.got).header.Get(signature.HeaderID)]++
	}
	if len(times) != flying+1 {
		t.Errorf("%d events arrived, want %d", len(times), flying+1)
	}
	for id, n := range times {
		if n != 1 {
			t.Errorf("%s arrived %d times: nothing but the database was away", id, n)
		}
	}
	if answer := o.call(http.MethodGet, "/health", ""); answer.StatusCode != http.StatusOK {
		t.Errorf("health once the database is back: %s", answer.Status)
	}
}
