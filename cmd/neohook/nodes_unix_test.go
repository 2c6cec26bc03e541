//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/neohook/neohook/store/postgres/postgrestest"
)

// TestNothingAcknowledgedIsLostAmongNodes is the promise of the project for many nodes on one
// database: publishers repeat each event, at any node, until it is answered, while nodes
// are killed, ended, and stopped for longer than the others wait, while the database is
// restarted as by a crash, and connections to it are cut.
func TestNothingAcknowledgedIsLostAmongNodes(t *testing.T) {
	events, troubles := 3_000, []trouble{killNode, cutConnections, endNode, crashDatabase, killNode}
	if full() {
		events, troubles = 50_000, []trouble{
			killNode, endNode, stopNode, cutConnections, crashDatabase, killNode, cutConnections, stopNode, killNode, crashDatabase, endNode, killNode,
		}
	}
	seed := number(t, "NEOHOOK_TEST_SEED", uint64(time.Now().UnixNano()))
	t.Logf("NEOHOOK_TEST_SEED=%d troubles the same nodes after as many events: %v", seed, troubles)
	run := newNodesRun(t, seed, built(t))
	var steps []func()
	for _, kind := range troubles {
		steps = append(steps, func() { run.trouble(kind) })
	}
	run.execute(events, steps)
}

// trouble is a kind of what happens to a cluster.
type trouble int

const (
	killNode       trouble = iota // and start it again
	endNode                       // in order, and start it again
	stopNode                      // for longer than a lease, and let it go on
	crashDatabase                 // and start it again
	cutConnections                // to the database, of all nodes
)

func (tr trouble) String() string {
	return [...]string{"a node is killed", "a node is ended", "a node is stopped", "the database crashes", "connections are cut"}[tr]
}

const (
	nodeCount = 3
	// stopped is how long a stopped node is: the others give up on it after ten seconds.
	stopped = 14 * time.Second
)

// nodesRun is one run of the test.
type nodesRun struct {
	*testing.T
	random   *rand.Rand
	database *postgrestest.Cluster
	nodes    [nodeCount]*testNode
	tenants  []*testTenant
	client   *http.Client
	arrivals *arrivals
	// permits judges what a publisher was told instead of yes; nil permits everything that a
	// repeat may mend.
	permits func(node *testNode, server *process, err error)

	mu       sync.Mutex // guards what follows
	acked    int
	progress *sync.Cond // signalled whenever acked grows
	troubled []period
}

// testNode is one server after another in a folder.
type testNode struct {
	name    string
	folder  string
	program string // its path
	proxy   *postgrestest.Proxy
	leaving atomic.Bool // it is being replaced

	mu     sync.Mutex
	server *process
}

func (n *testNode) present() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.server
}

// testTenant has one endpoint. Its events are numbered from 0.
type testTenant struct {
	uid, endpoint string // the endpoint's settings
	share         int    // of 100 events
	publishers    int

	mu  sync.Mutex
	ids map[int]string // of what was acknowledged
}

// What the limited tenants are held to.
const (
	mostAtOnce  = 2
	mostASecond = 50
)

func newNodesRun(t *testing.T, seed uint64, program string) *nodesRun {
	run := &nodesRun{
		T: t, random: rand.New(rand.NewPCG(seed, 0)), arrivals: newArrivals(t),
		database: postgrestest.Own(t, "fsync=off", "max_connections=200"), // its machine does not crash
		client:   &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 10 * time.Second},
	}
	run.progress = sync.NewCond(&run.mu)
	for i := range 8 {
		run.tenants = append(run.tenants, &testTenant{uid: fmt.Sprint("plain", i), share: 11, publishers: 4})
	}
	for i := range 2 {
		run.tenants = append(run.tenants, &testTenant{uid: fmt.Sprint("ordered", i), share: 3, publishers: 1, endpoint: `, "ordered": true`})
	}
	run.tenants = append(run.tenants,
		&testTenant{uid: "narrow", share: 4, publishers: 4, endpoint: fmt.Sprintf(`, "concurrency": %d`, mostAtOnce)},
		&testTenant{uid: "paced", share: 2, publishers: 4, endpoint: fmt.Sprintf(`, "rateLimit": %d`, mostASecond)},
	)
	for i := range run.nodes {
		proxy, err := postgrestest.NewProxy(run.database)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(proxy.Close)
		run.nodes[i] = &testNode{name: fmt.Sprint("node-", i), folder: t.TempDir(), program: program, proxy: proxy}
		if i > 0 { // all have the files of the first
			for _, name := range []string{keysetFile, tokenFile} {
				text, err := os.ReadFile(filepath.Join(run.nodes[0].folder, name))
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(run.nodes[i].folder, name), text, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		run.start(i)
	}
	return run
}

// start starts a node, which may need the database to be there again.
func (run *nodesRun) start(i int) {
	n := run.nodes[i]
	server := startProcessOf(run.T, n.program, n.folder, "--node-name", n.name, "--database", n.proxy.Address(), "--endpoint-concurrency", "20", "--log-level", "info")
	n.mu.Lock()
	defer n.mu.Unlock()
	n.server = server
}

// execute publishes events, and takes the steps after as many each.
func (run *nodesRun) execute(events int, steps []func()) {
	t := run.T
	first := run.nodes[0].present()
	for _, tenant := range run.tenants {
		tenant.ids = make(map[int]string)
		first.must(t, http.StatusCreated, "POST", "/app", fmt.Sprintf(`{"name": %q, "uid": %q}`, tenant.uid, tenant.uid), nil)
		first.must(t, http.StatusCreated, "POST", "/app/"+tenant.uid+"/endpoint",
			fmt.Sprintf(`{"uid": "sink", "url": "%s/%s"%s}`, run.arrivals.url, tenant.uid, tenant.endpoint), nil)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	began := time.Now()
	var publishing sync.WaitGroup
	for _, tenant := range run.tenants {
		work := make(chan int)
		publishing.Go(func() {
			defer close(work)
			for n := range events * tenant.share / 100 {
				work <- n
			}
		})
		for p := range tenant.publishers {
			random := rand.New(rand.NewPCG(run.random.Uint64(), uint64(p)))
			publishing.Go(func() {
				for n := range work {
					run.publishUntilAnswered(ctx, random, tenant, n)
				}
			})
		}
	}
	total := 0
	for _, tenant := range run.tenants {
		total += events * tenant.share / 100
	}
	for i, step := range steps {
		run.awaitAcked((i + 1) * total / (len(steps) + 1))
		step()
	}
	publishing.Wait()
	t.Logf("%d events acknowledged in %v, in %d steps", run.acked, time.Since(began).Round(time.Second/10), len(steps))
	for _, tenant := range run.tenants {
		run.arrivals.await(t, tenant)
	}
	run.account(total)
	run.permits = nil // from now on there is one node at most
	for i := range run.nodes {
		if server := run.nodes[i].present(); server.terminate(t) != 0 {
			t.Errorf("node %d did not end in order:\n%s", i, server.log)
		}
	}
	// All has been recorded: a later start has nothing to do.
	before := run.arrivals.count()
	run.start(0)
	run.publishUntilAnswered(ctx, run.random, run.tenants[0], -1)
	run.arrivals.await(t, run.tenants[0])
	if after := run.arrivals.count(); after != before+1 {
		t.Errorf("%d requests came after a start with nothing open", after-before-1)
	}
}

// trouble lets something happen, and notes when.
func (run *nodesRun) trouble(kind trouble) {
	began := time.Now()
	i := run.random.IntN(nodeCount)
	switch node := run.nodes[i]; kind {
	case killNode:
		node.present().kill()
		run.start(i)
	case endNode:
		if code := node.present().terminate(run.T); code != 0 {
			run.Errorf("%v: exit code %d\n%s", kind, code, node.present().log)
		}
		run.start(i)
	case stopNode:
		process := node.present().command.Process
		if err := process.Signal(syscall.SIGSTOP); err != nil {
			run.Fatal(err)
		}
		select { // what is tested is that so much time passes for a process beside this one
		case <-time.After(stopped):
		case <-run.Context().Done():
		}
		if err := process.Signal(syscall.SIGCONT); err != nil {
			run.Fatal(err)
		}
	case crashDatabase:
		if err := run.database.Stop(true); err != nil {
			run.Fatal(err)
		}
		if err := run.database.Start(run.Context(), "fsync=off", "max_connections=200"); err != nil {
			run.Fatal(err)
		}
	case cutConnections:
		for _, node := range run.nodes {
			node.proxy.Cut()
		}
	}
	run.mu.Lock()
	defer run.mu.Unlock()
	run.troubled = append(run.troubled, period{fmt.Sprintf("%v (node %d)", kind, i), began, time.Now()})
}

// period is when something happened.
type period struct {
	what     string
	from, to time.Time
}

func (run *nodesRun) awaitAcked(least int) {
	run.mu.Lock()
	defer run.mu.Unlock()
	for run.acked < least {
		run.progress.Wait()
	}
}

// publishUntilAnswered repeats one publish under its key, at one node or another, until one
// has said yes.
func (run *nodesRun) publishUntilAnswered(ctx context.Context, random *rand.Rand, tenant *testTenant, n int) {
	for ctx.Err() == nil {
		node := run.nodes[random.IntN(nodeCount)]
		server := node.present()
		id, err := run.publish(ctx, server, tenant, n)
		if err != nil && run.permits != nil && ctx.Err() == nil {
			run.permits(node, server, err)
		}
		if err == nil {
			tenant.mu.Lock()
			tenant.ids[n] = id
			tenant.mu.Unlock()
			run.mu.Lock()
			run.acked++
			run.mu.Unlock()
			run.progress.Signal()
			return
		}
		if refused, ok := errors.AsType[refusal](err); ok && refused.status < 500 {
			run.Errorf("%s %d: %v", tenant.uid, n, err)
			return
		}
		const pause = 20 * time.Millisecond
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

func (run *nodesRun) publish(ctx context.Context, server *process, tenant *testTenant, n int) (id string, err error) {
	body := fmt.Sprintf(`{"eventType": "nodes.test", "payload": {"n": %d}}`, n)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.url+"/api/v1/app/"+tenant.uid+"/msg?with_content=false", strings.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+server.token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", fmt.Sprint(tenant.uid, "-", n))
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
		if resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") == "" {
			run.Errorf("%s %d: 503 without Retry-After: %s", tenant.uid, n, text)
		}
		return "", refusal{resp.StatusCode, string(text)}
	}
	var answer struct{ ID string }
	err = json.Unmarshal(text, &answer)
	return answer.ID, err
}

// account holds what arrived to what was acknowledged.
func (run *nodesRun) account(total int) {
	t := run.T
	server, listed := run.nodes[0].present(), 0
	repeats, unexplained := 0, 0
	because := make(map[string]int)
	for _, tenant := range run.tenants {
		numberOf := make(map[string]int)
		for n, id := range tenant.ids {
			if other, taken := numberOf[id]; taken {
				t.Errorf("%s: events %d and %d were both given the id %s", tenant.uid, n, other, id)
			}
			numberOf[id] = n
		}
		for _, message := range listAll(t, server, "/app/"+tenant.uid+"/msg?with_content=false&limit=250") {
			if _, known := numberOf[message.ID]; !known {
				t.Errorf("%s: there is %s, which was never acknowledged: a second acceptance", tenant.uid, message.ID)
			}
			listed++
		}
		for id, times := range run.arrivals.at(tenant) {
			n, known := numberOf[id]
			if !known {
				t.Errorf("%s: %s arrived and was never acknowledged", tenant.uid, id)
				continue
			}
			for i := 1; i < len(times); i++ {
				repeats++
				what := run.explain(times[i-1], times[i])
				if because[what]++; what == "" {
					unexplained++
					t.Errorf("%s: event %d came again without a reason, %v after it had come", tenant.uid, n, times[i].Sub(times[i-1]))
				}
			}
		}
		if strings.HasPrefix(tenant.uid, "ordered") {
			if order := run.arrivals.firsts(tenant, numberOf); !slices.IsSorted(order) {
				t.Errorf("%s: events arrived out of order: %v", tenant.uid, order)
			}
		}
	}
	if listed != total {
		t.Errorf("there are %d events, want %d", listed, total)
	}
	t.Logf("%d repeats: %v", repeats, because)

	// A resumed node, and one that is given up while its requests are under way, add at
	// most what they had in flight.
	if most := run.arrivals.most("narrow"); most > 2*mostAtOnce {
		t.Errorf("%d requests were under way at once, of %d that may be", most, mostAtOnce)
	}
	run.arrivals.holdPace(t, "paced", mostASecond)
}

// explain names the trouble by which what had come at an instant, and came again, was in
// flight: it had not been recorded, which takes a moment, or as long as the database is away.
func (run *nodesRun) explain(came, again time.Time) string {
	const moment = 3 * time.Second
	for _, trouble := range run.troubled {
		if came.After(trouble.from.Add(-moment)) && came.Before(trouble.to.Add(moment)) && again.After(trouble.from) {
			return trouble.what
		}
	}
	return ""
}
