package httpapi_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
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

// discarded is an answer that nobody reads.
type discarded struct {
	header http.Header
	status int
}

func (d *discarded) Header() http.Header         { return d.header }
func (d *discarded) Write(p []byte) (int, error) { return len(p), nil }
func (d *discarded) WriteHeader(status int)      { d.status = status }

// forgetful is a store that accepts events and keeps none, so that a benchmark measures
// what is above it.
type forgetful struct {
	store.Store
	last *atomic.Int64
}

func (s forgetful) Commit(_ context.Context, batch *store.Batch) ([]store.Verdict, error) {
	verdicts := make([]store.Verdict, len(batch.Accepts))
	for i := range verdicts {
		verdicts[i] = store.Verdict{Kind: store.Accepted, Event: store.EventKey(s.last.Add(1)), AcceptedAt: batch.Now}
	}
	return verdicts, nil
}

func benchmarkEngine(b *testing.B, checked bool) (*neohook.Engine, http.Handler) {
	st := forgetful{memstore.New(), new(atomic.Int64)}
	keyset, err := neohook.NewKeyset()
	if err != nil {
		b.Fatal(err)
	}
	engine, err := neohook.New(b.Context(), st, neohook.Options{Keyset: keyset, Adapter: answers{}, CheckPayloads: checked})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- engine.Run(ctx) }()
	b.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	})
	if _, err := st.InitToken(b.Context(), store.Token{Key: 1, Hash: sha256.Sum256([]byte(token)), Organisation: string(neohook.DefaultOrganisation), Name: "bench", Scopes: []string{"admin"}, CreatedAt: time.Now()}); err != nil {
		b.Fatal(err)
	}
	if _, err := engine.CreateTenant(b.Context(), webhook.Tenant{Name: "Acme", UID: "acme"}); err != nil {
		b.Fatal(err)
	}
	if _, err := engine.CreateEventType(b.Context(), webhook.EventType{Name: "invoice.paid", Schemas: map[string]json.RawMessage{"1": json.RawMessage(invoiceSchema)}}); err != nil {
		b.Fatal(err)
	}
	api, err := httpapi.New(engine, httpapi.Options{})
	if err != nil {
		b.Fatal(err)
	}
	return engine, api
}

// invoiceSchema is what BenchmarkPublish's payload fits.
const invoiceSchema = `{"type":"object","required":["id","amount","currency","lines","customer"],"properties":{
	"id":{"type":"string","pattern":"^in_[0-9]+$"},"amount":{"type":"integer","minimum":0},"currency":{"enum":["eur","usd"]},
	"lines":{"type":"array","items":{"$ref":"#/definitions/line"}},
	"customer":{"type":"object","required":["name"],"properties":{"name":{"type":"string"},"mail":{"type":"string","format":"email"}}}},
	"definitions":{"line":{"type":"object","required":["sku"],"additionalProperties":false,"properties":{
		"sku":{"type":"string"},"quantity":{"type":"integer"},"price":{"type":"number"},"text":{"type":"string"}}}}}`

// BenchmarkPublish is what one POST of a message of 1 KB costs: the handler alone, with
// an engine over a memstore behind it that has nobody to send to; the same where payloads
// are held to a schema; and the engine alone.
func BenchmarkPublish(b *testing.B) {
	payload := fmt.Sprintf(`{"id":"in_1","amount":1250,"currency":"eur","lines":[%s],"customer":{"name":"Acme","mail":"a@b.example"}}`,
		strings.TrimSuffix(strings.Repeat(`{"sku":"A-100","quantity":2,"price":12.50,"text":"a thing"},`, 15), ","))
	body := `{"eventType":"invoice.paid","payload":` + payload + `}`
	var count atomic.Int64

	for name, checked := range map[string]bool{"handler": false, "handler, checked": true} {
		b.Run(name, func(b *testing.B) {
			_, api := benchmarkEngine(b, checked)
			b.ReportAllocs()
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				answer, reader := &discarded{header: make(http.Header)}, new(strings.Reader)
				sent := httptest.NewRequest("POST", "/api/v1/app/acme/msg?with_content=false", nil)
				sent.Header.Set("Authorization", "Bearer "+token)
				sent.Body, sent.ContentLength = io.NopCloser(reader), int64(len(body))
				for pb.Next() {
					r := *sent // what a server makes is not part of the measure
					reader.Reset(body)
					r.Header["Idempotency-Key"] = []string{fmt.Sprint("auto_", count.Add(1))}
					clear(answer.header)
					api.ServeHTTP(answer, &r)
					if answer.status != http.StatusAccepted {
						b.Errorf("status %d", answer.status)
						return
					}
				}
			})
		})
	}
	b.Run("engine", func(b *testing.B) {
		engine, _ := benchmarkEngine(b, false)
		b.ReportAllocs()
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				once := engine.Once(neohook.Once{Key: fmt.Sprint("auto_", count.Add(1)), Request: []byte(body), KeepFor: 10 * time.Minute})
				event := webhook.Event{Tenant: "acme", Type: "invoice.paid", Payload: []byte(payload)}
				if _, err := once.Publish(b.Context(), event); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}

// BenchmarkPublishOverHTTP publishes 1 KB messages over connections to a real server, over
// SQLite and an adapter that costs nothing: 64 clients with a message a request, and four
// with a batch a request. The clients' own work is part of it.
func BenchmarkPublishOverHTTP(b *testing.B) {
	for _, size := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			st, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "data"))
			if err != nil {
				b.Fatal(err)
			}
			w := newWorld(b, worldOptions{store: st, log: slog.New(slog.DiscardHandler)})
			w.must("POST", "/api/v1/app", `{"name":"Acme","uid":"acme"}`)
			w.must("POST", "/api/v1/app/acme/endpoint", `{"url":"https://up.example"}`)
			one := `{"eventType":"invoice.paid","payload":{"pad":"` + strings.Repeat("x", 1000) + `"}}`
			clients, path, body := 64, "/api/v1/app/acme/msg?with_content=false", one
			if size > 1 {
				clients, path = 4, "/api/v1/app/acme/msg/batch"
				body = `{"messages":[` + strings.TrimSuffix(strings.Repeat(one+",", size), ",") + `]}`
			}
			var next atomic.Int64
			var running sync.WaitGroup
			b.ResetTimer()
			for range clients {
				running.Go(func() {
					for int(next.Add(int64(size)))-size < b.N {
						if got := w.call("POST", path, body, nil); got.status != 202 {
							b.Errorf("%d %s", got.status, got.body)
						}
					}
				})
			}
			running.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}
