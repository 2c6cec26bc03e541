package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The promise of the whole project: what was acknowledged arrives, unchanged, over any
// crash, and what was published with a key is one event. The server is killed under load
// at random moments and started again on the same folder, while publishers repeat each
// event until it is answered.
func TestNothingAcknowledgedIsLostWhenTheServerIsKilled(t *testing.T) {
	rounds := 1
	if full() {
		rounds = 10
	}
	seed := number(t, "NEOHOOK_TEST_SEED", uint64(time.Now().UnixNano()))
	for round := range uint64(rounds) {
		t.Run(strconv.FormatUint(seed+round, 10), func(t *testing.T) {
			run := &crashRun{t: t, folder: t.TempDir(), receiver: newCrashReceiver(t)}
			if round%2 == 1 { // slower than the publishers: the crashes meet a backlog
				run.receiver.takes = 4 * time.Millisecond
			}
			run.execute(rand.New(rand.NewPCG(seed+round, 0)))
		})
	}
	t.Logf("NEOHOOK_TEST_SEED=%d kills at the same counts again", seed)
}

// An orderly end under load owes more: what is in flight finishes, so nothing at all is
// sent twice.
func TestNothingIsSentTwiceWhenTheServerIsRestartedUnderLoad(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("restarts by the seed %d", seed)
	run := &crashRun{t: t, folder: t.TempDir(), receiver: newCrashReceiver(t), orderly: true}
	run.execute(rand.New(rand.NewPCG(seed, 0)))
}

const (
	events     = 20_000
	publishers = 64
	kills      = 5
)

// crashRun is one run of the test.
type crashRun struct {
	t        *testing.T
	folder   string
	receiver *crashReceiver
	orderly  bool // ends the server by SIGTERM, not SIGKILL
	client   *http.Client

	mu    sync.Mutex // guards what follows
	life  *life      // the present one
	acked map[int]string
	// progress is signalled whenever acked grows.
	progress *sync.Cond
}

// life is a server from its start until it is killed.
type life struct {
	server *process
	over   chan struct{} // closed once the next life has begun
}

func (run *crashRun) execute(random *rand.Rand) {
	t := run.t
	run.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: publishers}}
	run.acked, run.progress = make(map[int]string), sync.NewCond(&run.mu)
	run.begin()
	run.furnish()

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	work := make(chan int)
	for range publishers {
		wg.Go(func() {
			for n := range work {
				if err := run.publishUntilAnswered(ctx, n); err != nil {
					t.Errorf("event %d: %v", n, err)
				}
			}
		})
	}
	wg.Go(func() {
		defer close(work)
		for n := range events {
			work <- n
		}
	})
	moments := make([]int, kills)
	for i := range moments {
		moments[i] = random.IntN(events)
	}
	slices.Sort(moments)
	for _, moment := range moments {
		run.awaitAcked(moment)
		run.end()
		run.begin()
	}
	wg.Wait()
	t.Logf("%d events acknowledged, the server ended after %v of them", len(run.acked), moments)

	run.receiver.awaitAll(t, slices.Collect(maps.Values(run.acked)))
	run.repeatSome(ctx)
	orderly := run.orderly
	run.orderly = true
	run.end()
	run.begin() // and what it does now must be nothing
	repeats := run.account()
	t.Logf("%d repeats of what was in flight, over %d ends", repeats, kills)
	if orderly && repeats != 0 {
		t.Error("after an orderly end nothing is in flight")
	}
	run.end()
	run.recount()
}

// recount holds what the server has counted, over all its ends, to what it has stored.
func (run *crashRun) recount() {
	out, err := program(run.t, "recount", "--data", run.folder).Output()
	want := fmt.Sprintf("Counted %d events and %d attempts anew: all ", events, events)
	if text := string(out); err != nil || !strings.HasPrefix(text, want) || !strings.HasSuffix(text, " stored sums were right.\n") {
		run.t.Errorf("recount: %v, said %q, want %q", err, text, want)
	}
}

// begin starts the server and lets the publishers that wait for it go on.
func (run *crashRun) begin() {
	began := &life{server: startProcess(run.t, run.folder, "--log-level", "info"), over: make(chan struct{})}
	run.mu.Lock()
	defer run.mu.Unlock()
	if run.life != nil {
		close(run.life.over)
	}
	run.life = began
}

func (run *crashRun) end() {
	server := run.life.server
	if !run.orderly {
		server.kill()
	} else if code := server.terminate(run.t); code != 0 {
		run.t.Errorf("exit code %d, want 0\n%s", code, server.log)
	}
}

func (run *crashRun) furnish() {
	server := run.life.server
	server.must(run.t, http.StatusCreated, "POST", "/app", `{"name": "Crash", "uid": "crash"}`, nil)
	server.must(run.t, http.StatusCreated, "POST", "/app/crash/endpoint", `{"uid": "sink", "url": "`+run.receiver.url+`"}`, nil)
}

func (run *crashRun) present() *life {
	run.mu.Lock()
	defer run.mu.Unlock()
	return run.life
}

func (run *crashRun) awaitAcked(least int) {
	run.mu.Lock()
	defer run.mu.Unlock()
	for len(run.acked) < least {
		run.progress.Wait()
	}
}

// payloadOf makes the n-th event's payload, all of them different in length and text.
// It is spelt as no encoder would, so that one which spells anew is found out.
func payloadOf(n int) string {
	random := rand.New(rand.NewPCG(uint64(n), 1))
	var pad strings.Builder
	for range 200 + random.IntN(800) {
		pad.WriteRune(rune('a' + random.IntN(26)))
	}
	return fmt.Sprintf(`{ "pad":"%s\u00e4", "n": %d,"float":1.50e0 }`, pad.String(), n)
}

// publishUntilAnswered repeats one publish under its key, over crashes, until the server
// has said yes.
func (run *crashRun) publishUntilAnswered(ctx context.Context, n int) error {
	for {
		current := run.present()
		id, err := run.publish(ctx, current.server, n)
		if err == nil {
			run.mu.Lock()
			run.acked[n] = id
			run.mu.Unlock()
			run.progress.Signal()
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if refused, ok := errors.AsType[refusal](err); ok {
			if refused.status < 500 {
				return err
			}
			continue // it answers, so it lives
		}
		select { // the connection broke, so it does not
		case <-current.over:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// refusal is an answer other than 202.
type refusal struct {
	status int
	body   string
}

func (r refusal) Error() string { return fmt.Sprintf("answered %d %s", r.status, r.body) }

func (run *crashRun) publish(ctx context.Context, server *process, n int) (id string, err error) {
	body := `{"eventType": "crash.test", "payload": ` + payloadOf(n) + `}`
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.url+"/api/v1/app/crash/msg?with_content=false", strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+server.token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", "event-"+strconv.Itoa(n))
	resp, err := run.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusAccepted {
		return "", refusal{resp.StatusCode, string(text)}
	}
	var answer struct{ ID string }
	if err := json.Unmarshal(text, &answer); err != nil {
		return "", err
	}
	return answer.ID, nil
}

// repeatSome publishes events of every life again, under their keys.
func (run *crashRun) repeatSome(ctx context.Context) {
	for n := 0; n < events; n += 37 {
		id, err := run.publish(ctx, run.life.server, n)
		if err != nil || id != run.acked[n] {
			run.t.Errorf("event %d published again is %q, %v; want %s", n, id, err, run.acked[n])
		}
	}
}

// account compares what was acknowledged, what the server has, and what arrived. It
// returns how many requests came beyond the first for their event.
func (run *crashRun) account() (repeats int) {
	t := run.t
	eventOf := make(map[string]int, len(run.acked)) // by id
	for n, id := range run.acked {
		if other, taken := eventOf[id]; taken {
			t.Errorf("events %d and %d were both given the id %s", n, other, id)
		}
		eventOf[id] = n
	}
	accepted := listAll(t, run.life.server, "/app/crash/msg?with_content=false&limit=250")
	for _, message := range accepted {
		if _, known := eventOf[message.ID]; !known {
			t.Errorf("the server has %s, which it never acknowledged: a second acceptance", message.ID)
		}
	}
	if len(accepted) != events {
		t.Errorf("the server has %d events, want %d", len(accepted), events)
	}

	got := run.receiver.all()
	for id, n := range eventOf {
		bodies := got[id]
		if len(bodies) == 0 {
			t.Errorf("event %d, acknowledged as %s, never arrived", n, id)
			continue
		}
		repeats += len(bodies) - 1
		for _, body := range bodies {
			if body != payloadOf(n) {
				t.Errorf("event %d arrived as\n%s\nwant\n%s", n, body, payloadOf(n))
			}
		}
	}
	for id := range got {
		if _, known := eventOf[id]; !known {
			t.Errorf("%s arrived and was never acknowledged", id)
		}
	}

	// A repeat of what was in flight leaves one recorded attempt: the record of the other
	// died with the server. Two records would be a repeat of what was done.
	recorded := make(map[string]int)
	for _, attempt := range listAll(t, run.life.server, "/app/crash/attempt/endpoint/sink?with_content=false&limit=250") {
		if attempt.Status != 0 {
			t.Errorf("attempt %s of %s has status %d, want 0, a success", attempt.ID, attempt.MsgID, attempt.Status)
		}
		recorded[attempt.MsgID]++
	}
	for id := range eventOf {
		if recorded[id] != 1 {
			t.Errorf("%s arrived %d times and has %d recorded attempts, want 1", id, len(got[id]), recorded[id])
		}
	}
	return repeats
}

// listed is an item of a list: a message or an attempt.
type listed struct {
	ID, MsgID string
	Status    int
}

// crashReceiver keeps every body by its webhook-id.
type crashReceiver struct {
	url   string
	takes time.Duration // to answer

	mu      sync.Mutex // guards bodies
	bodies  map[string][]string
	arrived *sync.Cond // signalled for each request
}

func newCrashReceiver(t *testing.T) *crashReceiver {
	t.Helper()
	rc := &crashReceiver{bodies: make(map[string][]string)}
	rc.arrived = sync.NewCond(&rc.mu)
	sink := newSink(t, nil)
	sink.Config.Handler = rc
	rc.url = sink.URL
	return rc
}

func (rc *crashReceiver) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil { // the sender was killed: nothing has come
		return
	}
	id := r.Header.Get("webhook-id")
	rc.mu.Lock()
	rc.bodies[id] = append(rc.bodies[id], string(body))
	rc.mu.Unlock()
	rc.arrived.Signal()
	if rc.takes > 0 {
		<-time.After(rc.takes)
	}
}

// awaitAll waits until each of the ids has come, or nothing has for longer than the first
// retry takes.
func (rc *crashReceiver) awaitAll(t *testing.T, ids []string) {
	t.Helper()
	const patience = 20 * time.Second
	rc.mu.Lock()
	defer rc.mu.Unlock()
	stalled := false
	watchdog := time.AfterFunc(patience, func() {
		rc.mu.Lock()
		defer rc.mu.Unlock()
		stalled = true
		rc.arrived.Signal()
	})
	defer watchdog.Stop()
	for _, id := range ids {
		for len(rc.bodies[id]) == 0 {
			rc.arrived.Wait()
			if stalled {
				t.Errorf("after %d of %d events nothing has come for %v", len(rc.bodies), len(ids), patience)
				return
			}
			watchdog.Reset(patience)
		}
	}
}

func (rc *crashReceiver) all() map[string][]string {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	return maps.Clone(rc.bodies)
}
