package httpapi_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/httpapi"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/store/sqlite"
	"github.com/neohook/neohook/webhook"
)

// The tokens of a world, one for each of its organisations.
const (
	token       = "nh_test_4b7cfb1e4d0a"
	otherToken  = "nh_test_9d1c0f55ab12"
	otherOrg    = "org_other"
	testVersion = "1.2.3-test"
)

// world is a server over a running engine.
type world struct {
	testing.TB
	engine *neohook.Engine
	api    *httpapi.API
	server *httptest.Server
	// recorded gets a value for each attempt that is on record.
	recorded chan struct{}
	// logged is what the server wrote to its log.
	logged *syncBuffer
}

// worldOptions: the zero value is a memstore and an adapter that answers by the URL.
type worldOptions struct {
	store   store.Store
	adapter webhook.Adapter
	log     *slog.Logger
	metrics http.Handler
	options neohook.Options
}

func newWorld(t testing.TB, opts worldOptions) *world {
	t.Helper()
	st := opts.store
	if st == nil {
		st = memstore.New()
	}
	t.Cleanup(func() { _ = st.Close() })
	w := &world{TB: t, recorded: make(chan struct{}, 1<<20), logged: new(syncBuffer)}

	options := opts.options
	options.Adapter = opts.adapter
	if options.Adapter == nil && opts.options.Egress.Allow == nil {
		options.Adapter = answers{}
	}
	var err error
	if options.Keyset, err = neohook.NewKeyset(); err != nil {
		t.Fatal(err)
	}
	watched := watchedStore{st, w.recorded}
	if w.engine, err = neohook.New(t.Context(), watched, options); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.engine.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})

	for text, organisation := range map[string]string{token: string(neohook.DefaultOrganisation), otherToken: otherOrg} {
		key, err := st.NewKey(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		made := store.Token{
			Key: store.TokenKey(key), Hash: sha256.Sum256([]byte(text)), Organisation: organisation, Name: "test",
			Scopes: []string{"admin"}, CreatedAt: time.Now(),
		}
		if err := st.ReplaceToken(t.Context(), made); err != nil {
			t.Fatal(err)
		}
	}
	log := opts.log
	if log == nil {
		log = slog.New(slog.NewTextHandler(w.logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	api, err := httpapi.New(w.engine, httpapi.Options{Logger: log, Version: testVersion, Metrics: opts.metrics})
	if err != nil {
		t.Fatal(err)
	}
	w.api, w.server = api, httptest.NewServer(api)
	t.Cleanup(w.server.Close)
	return w
}

// stores opens each kind of store.
var stores = map[string]func(t *testing.T) store.Store{
	"memstore": func(*testing.T) store.Store { return memstore.New() },
	"sqlite": func(t *testing.T) store.Store {
		st, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "data"))
		if err != nil {
			t.Fatal(err)
		}
		return st
	},
}

// watchedStore tells of each attempt that was stored.
type watchedStore struct {
	store.Store
	recorded chan<- struct{}
}

func (s watchedStore) Commit(ctx context.Context, batch *store.Batch) ([]store.Verdict, error) {
	verdicts, err := s.Store.Commit(ctx, batch)
	if err == nil {
		for i := range batch.Outcomes {
			if batch.Outcomes[i].Attempt != nil {
				select {
				case s.recorded <- struct{}{}:
				default: // nobody has waited for a long time
				}
			}
		}
	}
	return verdicts, err
}

// answers is an adapter without a network: a host that begins with "down" fails with
// 500, "hung" gets no answer, and all others take what they are sent.
type answers struct{}

func (answers) Deliver(_ context.Context, delivery *webhook.Delivery, ep *webhook.Endpoint) webhook.Result {
	now := time.Now()
	result := webhook.Result{
		Success: true, Attempt: delivery.Attempt, URL: ep.URL, Method: "POST",
		StartedAt: now, CompletedAt: now.Add(7 * time.Millisecond), StatusCode: 200, Body: []byte("thank you"),
	}
	switch {
	case strings.HasPrefix(ep.URL, "https://down"):
		result.Success, result.StatusCode, result.Body = false, 500, []byte("no")
	case strings.HasPrefix(ep.URL, "https://hung"):
		result.Success, result.StatusCode, result.Body = false, 0, nil
		result.Fault = &webhook.Fault{Kind: webhook.FaultTimeout, Code: webhook.FaultResponseTimeout, Message: "no answer within 30s"}
	}
	return result
}

func (a answers) Verify(ctx context.Context, ep *webhook.Endpoint, _ []byte) webhook.Result {
	return a.Deliver(ctx, &webhook.Delivery{}, ep)
}

func (answers) Health(context.Context) webhook.Health { return webhook.Health{Status: webhook.Healthy} }

// await returns when n more attempts are on record.
func (w *world) await(n int) {
	w.Helper()
	for range n {
		select {
		case <-w.recorded:
		case <-time.After(20 * time.Second):
			w.Fatalf("no attempt was recorded; log:\n%s", w.logged)
		}
	}
}

// finished asks for a task until it has ended, and holds it to what it should have found.
func (w *world) finished(task string, want ...string) {
	w.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		got := w.call("GET", "/api/v1/background-task/"+task, "", nil)
		if got.status == http.StatusOK && strings.Contains(got.body, `"status":"running"`) && time.Now().Before(deadline) {
			continue
		}
		for _, text := range append(want, `"status":"finished"`) {
			if !strings.Contains(got.body, text) {
				w.Errorf("task: %d %s, want %s", got.status, got.body, text)
			}
		}
		return
	}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// call sends a request as the first organisation, unless header says otherwise.
func (w *world) call(method, path, body string, header map[string]string) answer {
	w.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(w.Context(), method, w.server.URL+path, reader)
	if err != nil {
		w.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	for name, value := range header {
		if value == "" {
			req.Header.Del(name)
		} else {
			req.Header.Set(name, value)
		}
	}
	client := *w.server.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return errors.New("redirected") }
	resp, err := client.Do(req)
	if err != nil {
		w.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

// must sends a request that has to succeed and reads its answer.
func (w *world) must(method, path, body string) map[string]any {
	w.Helper()
	got := w.call(method, path, body, nil)
	if got.status/100 != 2 {
		w.Fatalf("%s %s: %d %s", method, path, got.status, got.body)
	}
	out := make(map[string]any)
	if got.status != http.StatusNoContent {
		if err := json.Unmarshal([]byte(got.body), &out); err != nil {
			w.Fatalf("%s %s: %v in %s", method, path, err, got.body)
		}
	}
	return out
}

// id sends a request that makes something and returns its id.
func (w *world) id(method, path, body string) string {
	w.Helper()
	id, _ := w.must(method, path, body)["id"].(string)
	return id
}

// types makes event types of these names.
func (w *world) types(names ...string) {
	w.Helper()
	for _, name := range names {
		w.must("POST", "/api/v1/event-type", fmt.Sprintf(`{"name":%q,"description":""}`, name))
	}
}

// state is all that is to be seen of both organisations, in one text.
func (w *world) state() string {
	w.Helper()
	var all bytes.Buffer
	for _, org := range []*neohook.Organisation{w.engine.Organisation, w.engine.In(otherOrg)} {
		types, err := org.EventTypes(w.Context(), neohook.EventTypeFilter{WithSchemas: true}, neohook.Page{Limit: 250})
		check(w, err)
		fmt.Fprintf(&all, "%+v\n", types.Items)
		tenants, err := org.Tenants(w.Context(), neohook.Page{Limit: 250})
		check(w, err)
		for _, tenant := range tenants.Items {
			endpoints, err := org.Endpoints(w.Context(), tenant.ID, neohook.Page{Limit: 250})
			check(w, err)
			events, err := org.Events(w.Context(), tenant.ID, neohook.EventFilter{WithPayload: true}, neohook.Page{Limit: 250})
			check(w, err)
			fmt.Fprintf(&all, "%+v\n", tenant)
			for _, ep := range endpoints.Items {
				ep, err := org.Endpoint(w.Context(), tenant.ID, ep.ID)
				check(w, err)
				fmt.Fprintf(&all, "  %+v %s\n", ep, string(ep.Secret))
			}
			for _, ev := range events.Items {
				fmt.Fprintf(&all, "  %+v\n", ev)
			}
		}
	}
	return all.String()
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// scenario is one request and what must be seen of it. A refused one must be JSON in the
// contract's shape and must have changed nothing.
type scenario struct {
	method string // "" is GET
	path   string // below /api/v1, unless it begins with "!"
	body   string
	header map[string]string
	status int
	// want must be in the body, not must not be in body or header.
	want, not []string
	// odd: the request is taken although the document says that it is not valid.
	odd bool
	// field is the loc of a fault in a 422, joined with slashes.
	field string
	// answers are fields of the answer's header.
	answers map[string]string
}

func (w *world) play(name string, s scenario) {
	w.Helper()
	test, _ := w.TB.(*testing.T)
	test.Run(name, func(t *testing.T) {
		w := &world{TB: t, engine: w.engine, api: w.api, server: w.server, recorded: w.recorded, logged: w.logged}
		path, whole := strings.CutPrefix(s.path, "!")
		if !whole {
			path = "/api/v1" + path
		}
		var before string
		if s.status >= 400 {
			before = w.state()
		}
		method := cmp.Or(s.method, "GET")
		got := w.call(method, path, s.body, s.header)
		if way, statuses := w.api.Declared(method, path); way.Name != "" && strings.HasPrefix(path, "/api/v1/") {
			notePlayed(way.Name, got.status)
			if !slices.Contains(statuses, got.status) {
				t.Errorf("the table does not say that %s answers with %d", way.Name, got.status)
			}
			fitsDocument(t, w, way, &s, got)
		}
		if got.status != s.status {
			t.Fatalf("%d %s, want %d", got.status, got.body, s.status)
		}
		for _, text := range s.want {
			if !strings.Contains(got.body, text) {
				t.Errorf("%s\nis not in %s", text, got.body)
			}
		}
		var headers bytes.Buffer
		_ = got.header.Write(&headers)
		for _, text := range s.not {
			if strings.Contains(got.body, text) || strings.Contains(headers.String(), text) {
				t.Errorf("%s\nis in %s\n%s", text, &headers, got.body)
			}
		}
		for name, want := range s.answers {
			if value := got.header.Get(name); value != want {
				t.Errorf("%s: %q, want %q", name, value, want)
			}
		}
		if got.header.Get("neohook-request-id") == "" {
			t.Error("no request id")
		}
		if s.status >= 400 {
			if s.method != http.MethodHead {
				refusal(t, got, s.field)
			}
			if after := w.state(); after != before {
				t.Errorf("the refused request changed something: before\n%s\nafter\n%s", before, after)
			}
		}
	})
}

// refusal checks that an answer is a refusal in the contract's shape.
func refusal(t *testing.T, got answer, field string) {
	t.Helper()
	if kind := got.header.Get("Content-Type"); kind != "application/json" {
		t.Errorf("Content-Type %q", kind)
	}
	if got.status != 422 {
		var out struct{ Code, Detail string }
		if err := json.Unmarshal([]byte(got.body), &out); err != nil || out.Code == "" || out.Detail == "" {
			t.Errorf("%s is no refusal: %v", got.body, err)
		}
		if strings.Contains(out.Code, " ") {
			t.Errorf("code %q has a space", out.Code)
		}
		return
	}
	var out struct {
		Detail []struct {
			Loc       []string
			Msg, Type string
		}
	}
	if err := json.Unmarshal([]byte(got.body), &out); err != nil || len(out.Detail) == 0 {
		t.Fatalf("%s is no refusal: %v", got.body, err)
	}
	var locs []string
	for _, fault := range out.Detail {
		if len(fault.Loc) == 0 || fault.Msg == "" || fault.Type == "" {
			t.Errorf("fault %+v", fault)
		}
		locs = append(locs, strings.Join(fault.Loc, "/"))
	}
	if found := strings.Join(locs, " "); field != "" && !strings.Contains(" "+found+" ", " "+field+" ") {
		t.Errorf("faults at %q, want one at %q", found, field)
	}
}

// syncBuffer is a buffer for a logger that others read.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// brokenStore fails once it is told to, and panics when asked for an endpoint.
type brokenStore struct {
	store.Store
	broken atomic.Bool
}

func (s *brokenStore) EndpointByUID(ctx context.Context, tenant store.TenantKey, uid string) (store.Endpoint, error) {
	if s.broken.Load() {
		panic("index out of range")
	}
	return s.Store.EndpointByUID(ctx, tenant, uid)
}

var errBroken = errors.New("disk on fire")

func (s *brokenStore) Instance(ctx context.Context) (store.Instance, error) {
	if s.broken.Load() {
		return store.Instance{}, errBroken
	}
	return s.Store.Instance(ctx)
}

func (s *brokenStore) Tenants(ctx context.Context, org string, page store.Page) ([]store.Tenant, error) {
	if s.broken.Load() {
		return nil, errBroken
	}
	return s.Store.Tenants(ctx, org, page)
}

func (s *brokenStore) InsertTenant(ctx context.Context, t store.Tenant, once *store.Once) error {
	if s.broken.Load() {
		return errBroken
	}
	return s.Store.InsertTenant(ctx, t, once)
}
