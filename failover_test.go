package neohook_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/neohook/neohook/signature"
	"github.com/neohook/neohook/store/postgres/postgrestest"
)

// failover is a primary with a synchronous standby, and an engine that reaches whichever
// is the primary through a proxy.
type failover struct {
	*overPostgres
	primary, standby *postgrestest.Cluster
	proxy            *postgrestest.Proxy
}

func startFailover(t *testing.T) *failover {
	t.Helper()
	primary := postgrestest.Own(t, "fsync=off", "max_wal_senders=4")
	standby := primary.Standby(t, "fsync=off")
	// From here on it waits for the standby.
	if err := primary.Stop(false); err != nil {
		t.Fatal(err)
	}
	if err := primary.Start(t.Context(), "fsync=off", "max_wal_senders=4", "synchronous_standby_names=standby"); err != nil {
		t.Fatal(err)
	}
	proxy, err := postgrestest.NewProxy(primary)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	f := &failover{primary: primary, standby: standby, proxy: proxy}
	f.overPostgres = startOverPostgres(t, proxy.Address())
	return f
}

// The primary crashes while many publish, the standby takes its place, and whatever was
// acknowledged is there and arrives.
func TestFailoverLosesNothingThatWasAcknowledged(t *testing.T) {
	f := startFailover(t)
	hooks := receive(t, nil)
	f.must(http.MethodPost, "/app", `{"name":"Acme","uid":"acme"}`)
	f.must(http.MethodPost, "/app/acme/endpoint", fmt.Sprintf(`{"url":%q,"uid":"ep"}`, hooks.URL))

	const publishers, before, after = 8, 200, 100
	var acknowledged sync.Map // the number of each event
	var count, next atomic.Int64
	publish := func(until int64) {
		var publishing sync.WaitGroup
		for range publishers {
			publishing.Go(func() {
				for count.Load() < until {
					n := int(next.Add(1))
					for count.Load() < until { // repeats what was not acknowledged
						// That it is there already is as good.
						if code := f.offer(n).StatusCode; code/100 == 2 || code == http.StatusConflict {
							acknowledged.Store(n, true)
							count.Add(1)
							break
						}
					}
				}
			})
		}
		publishing.Wait()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		publish(before + after)
	}()
	f.until("published before", func() bool { return count.Load() >= before })
	if err := f.primary.Stop(true); err != nil {
		t.Fatal(err)
	}
	if err := f.standby.Promote(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.proxy.Point(f.standby)
	f.proxy.Cut()
	<-done

	arrived := make(map[string]int)
	missing := func() (numbers []int) {
		for len(hooks.got) > 0 {
			got := <-hooks.got
			arrived[string(got.body)]++
			if got.header.Get(signature.HeaderID) == "" {
				t.Error("a request without an id")
			}
		}
		acknowledged.Range(func(n, _ any) bool {
			if arrived[fmt.Sprintf(`{"n":%d}`, n)] == 0 {
				numbers = append(numbers, n.(int))
			}
			return true
		})
		return numbers
	}
	f.until("all arrived", func() bool { return len(missing()) == 0 })
	repeats := 0
	for _, times := range arrived {
		repeats += times - 1
	}
	t.Logf("%d acknowledged, all arrived; %d requests came again", count.Load(), repeats)
	for n := range int(next.Load()) {
		if _, is := acknowledged.Load(n); !is {
			continue
		}
		// A repeat finds what is stored: it is accepted once.
		if answer := f.offer(n); answer.StatusCode != http.StatusConflict && answer.StatusCode/100 != 2 {
			t.Fatalf("event %d is repeated: %s", n, answer.Status)
		}
	}
}

// What the standby does not have yet is not acknowledged to who repeats it, either: it may
// be lost.
func TestRepeatIsNotAcknowledgedBeforeTheStandbyHasIt(t *testing.T) {
	f := startFailover(t)
	f.must(http.MethodPost, "/app", `{"name":"Acme","uid":"acme"}`)
	once := func() *http.Response {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.api.URL+"/api/v1/app/acme/msg", strings.NewReader(`{"eventType":"a","payload":{}}`))
		if err != nil {
			t.Error(err)
		}
		req.Header.Set("Authorization", "Bearer "+f.token)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", "once")
		answer, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		return answer
	}
	if err := f.standby.Stop(true); err != nil {
		t.Fatal(err)
	}
	answered := make(chan int, 1)
	go func() { answered <- once().StatusCode }()
	// Others that wait, such as the upkeep of counts, may be in the publisher's way.
	waits := func() bool {
		n, err := f.primary.Query(t.Context(), `WITH waiting AS (
				SELECT pid, EXISTS (SELECT FROM pg_locks WHERE pg_locks.pid = pg_stat_activity.pid AND relation = 'neohook.event_key'::regclass) AS publishing
				FROM pg_stat_activity WHERE wait_event = 'SyncRep'
			), ended AS (SELECT pg_terminate_backend(pid) FROM waiting WHERE NOT publishing)
			SELECT (SELECT count(*) FROM waiting WHERE publishing) + 0 * (SELECT count(*) FROM ended)`)
		return err == nil && n != "0"
	}
	f.until("the first waits for the standby", waits)
	f.proxy.Cut()
	if status := <-answered; status != http.StatusServiceUnavailable {
		t.Fatalf("the connection of a commit was cut: %d", status)
	}
	go func() { answered <- once().StatusCode }()
	f.until("the repeat waits for the standby", waits)
	select {
	case status := <-answered:
		t.Fatalf("answered %d, and the standby has nothing", status)
	default:
	}
	if err := f.standby.Start(t.Context(), "fsync=off"); err != nil {
		t.Fatal(err)
	}
	if status := <-answered; status != http.StatusAccepted && status != http.StatusServiceUnavailable {
		t.Errorf("the standby is there: %d", status)
	}
}
