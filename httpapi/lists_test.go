package httpapi_test

import (
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/httpapi"
	"github.com/neohook/neohook/internal/ident"
	"github.com/neohook/neohook/internal/record"
	"github.com/neohook/neohook/internal/seal"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/sqlite"
	"github.com/neohook/neohook/webhook"
)

// measuredLists are all operations that answer with a list: their paths, and the queries to
// measure beside the plain one. %s is where an instant long past goes.
var measuredLists = map[string]struct {
	path    string
	queries []string
}{
	"token.list":              {"/auth/token", nil},
	"application.list":        {"/app", []string{"order=descending"}},
	"event-type.list":         {"/event-type", []string{"include_archived=true", "with_content=true"}},
	"endpoint.list":           {"/app/acme/endpoint", []string{"order=ascending"}},
	"background-task.list":    {"/background-task", []string{"status=failed", "app_id=acme"}},
	"statistics.usage-by-app": {"/stats/usage/app", nil},
	"message.list": {"/app/acme/msg", []string{
		"with_content=false", "before=%s", "after=%s", "event_types=type.7", "event_types=rare", "channel=none", "tag=none",
	}},
	"message-attempt.list-by-endpoint": {"/app/acme/attempt/endpoint/orders", []string{
		"with_content=false", "before=%s", "after=%s", "status=2", "event_types=rare", "with_msg=true",
	}},
	"message-attempt.list-by-msg":                 {"/app/acme/attempt/msg/often", []string{"endpoint_id=orders", "status=2"}},
	"message-attempt.list-by-msg-deprecated":      {"/app/acme/msg/often/attempt", nil},
	"message-attempt.list-by-delivery-deprecated": {"/app/acme/msg/often/endpoint/orders/attempt", nil},
	"message-attempt.list-attempted-messages": {"/app/acme/endpoint/orders/msg", []string{
		"with_content=false", "before=%s", "after=%s", "status=0", "status=2", "status=3", "event_types=rare", "channel=none",
	}},
	"message-attempt.list-attempted-destinations": {"/app/acme/msg/often/endpoint", nil},
	"delivery.list": {"/app/acme/endpoint/orders/delivery", []string{
		"before=%s", "after=%s", "state=exhausted", "state=waiting", "event_types=rare", "status_code_class=500", "with_msg=true",
	}},
	"delivery.list-by-msg":              {"/app/acme/msg/often/delivery", nil},
	"operational-webhook-endpoint.list": {"/operational-webhook/endpoint", nil},
}

// A list that nobody has measured fails here.
func TestEveryListIsMeasured(t *testing.T) {
	for _, name := range httpapi.Lists() {
		if _, measured := measuredLists[name]; !measured {
			t.Errorf("%s has no row in measuredLists, and so is not in BenchmarkLists", name)
		}
	}
	for name := range measuredLists {
		if !slices.Contains(httpapi.Lists(), name) {
			t.Errorf("%s is measured and is no list", name)
		}
	}
}

// BenchmarkLists reads the first, the middle and the last page of every list with 100,000
// rows behind it, in SQLite, by 50. What one costs must not depend on how deep it lies.
func BenchmarkLists(b *testing.B) {
	const rows = 100_000
	api, past := manyRows(b, rows)
	for _, name := range httpapi.Lists() {
		list := measuredLists[name]
		if list.path == "" {
			continue
		}
		for _, query := range append([]string{""}, list.queries...) {
			query = strings.ReplaceAll(query, "%s", url.QueryEscape(past.Format(time.RFC3339)))
			b.Run(name+"?"+query, func(b *testing.B) {
				for _, place := range placesIn(b, api, list.path, query) {
					b.Run(place.name, func(b *testing.B) {
						items := 0
						for b.Loop() {
							items = len(readPage(b, api, list.path, query, place.iterator, 50).Data)
						}
						b.ReportMetric(float64(items), "items")
					})
				}
			})
		}
	}
}

// place is a page, by the iterator that leads to it.
type place struct{ name, iterator string }

type listPage struct {
	Data     []json.RawMessage
	Iterator *string
	Done     bool
}

// readPage reads a page through the handler.
func readPage(b *testing.B, api http.Handler, path, query, iterator string, limit int) (page listPage) {
	b.Helper()
	if iterator != "" {
		query += "&iterator=" + url.QueryEscape(iterator)
	}
	request := httptest.NewRequest("GET", fmt.Sprintf("/api/v1%s?limit=%d&%s", path, limit, query), nil)
	request.Header.Set("Authorization", "Bearer "+token)
	answer := httptest.NewRecorder()
	api.ServeHTTP(answer, request)
	if answer.Code != http.StatusOK {
		b.Fatalf("%s?%s: %d %s", path, query, answer.Code, answer.Body)
	}
	if err := json.Unmarshal(answer.Body.Bytes(), &page); err != nil {
		b.Fatal(err)
	}
	return page
}

// placesIn walks a list to find its middle and its end.
func placesIn(b *testing.B, api http.Handler, path, query string) []place {
	b.Helper()
	iterators := []string{""}
	for {
		page := readPage(b, api, path, query, iterators[len(iterators)-1], 250)
		if page.Done || page.Iterator == nil {
			break
		}
		iterators = append(iterators, *page.Iterator)
	}
	places := []place{{"first", ""}}
	if n := len(iterators); n > 2 {
		places = append(places, place{"middle", iterators[n/2]}, place{"last", iterators[n-1]})
	}
	return places
}

// manyRows serves a database in which every list has so many rows, over two months. The
// instant lies soon after the beginning of them.
func manyRows(b *testing.B, rows int) (http.Handler, time.Time) {
	b.Helper()
	file := filepath.Join(b.TempDir(), "neohook.db")
	keyset, err := neohook.NewKeyset()
	check(b, err)
	open := func() (store.Store, *neohook.Engine) {
		st, err := sqlite.Open(b.Context(), file)
		check(b, err)
		engine, err := neohook.New(b.Context(), st, neohook.Options{Keyset: keyset, Adapter: answers{}, MaxEndpointsPerTenant: -1})
		check(b, err)
		return st, engine
	}
	st, engine := open()
	_, err = st.InitToken(b.Context(), store.Token{
		Key: 1, Hash: sha256.Sum256([]byte(token)), Organisation: string(neohook.DefaultOrganisation), Name: "bench", Scopes: []string{"admin"}, CreatedAt: time.Now(),
	})
	check(b, err)
	_, err = engine.CreateTenant(b.Context(), webhook.Tenant{Name: "Acme", UID: "acme"})
	check(b, err)
	_, err = engine.CreateEndpoint(b.Context(), "acme", webhook.Endpoint{UID: "orders", URL: "https://example.com"})
	check(b, err)
	operational, tenant, err := engine.Operational(b.Context())
	check(b, err)
	_, err = operational.CreateEndpoint(b.Context(), tenant, webhook.Endpoint{URL: "https://example.com"})
	check(b, err)
	begin := time.Now().Add(-60 * 24 * time.Hour).Truncate(time.Second)
	fillHistory(b, st, rows, begin)
	fillTypes(b, st, rows)
	check(b, st.Close())
	fillDirectory(b, file, keyset, rows)

	st, engine = open()
	b.Cleanup(func() { check(b, st.Close()) })
	api, err := httpapi.New(engine, httpapi.Options{})
	check(b, err)
	return api, begin.Add(24 * time.Hour)
}

// fillHistory commits events with an attempt each, and one with as many.
func fillHistory(b *testing.B, st store.Store, rows int, begin time.Time) {
	b.Helper()
	tenant, err := st.TenantByUID(b.Context(), string(neohook.DefaultOrganisation), "acme")
	check(b, err)
	endpoint, err := st.EndpointByUID(b.Context(), tenant.Key, "orders")
	check(b, err)
	routes, err := st.Routes(b.Context(), tenant.Key)
	check(b, err)
	commit := func(batch *store.Batch) []store.Verdict {
		verdicts, err := st.Commit(b.Context(), batch)
		check(b, err)
		return verdicts
	}
	accept := store.Accept{
		Tenant: tenant.Key, RouteVersion: routes.Version, Endpoints: []store.EndpointKey{endpoint.Key}, Payload: []byte(`{"n":1}`),
	}
	outcome := func(event store.EventKey, at time.Time, n int) store.Outcome {
		return store.Outcome{
			Tenant: tenant.Key, Endpoint: endpoint.Key, Event: event, State: webhook.Succeeded,
			Attempt: &store.Attempt{Number: 1, URL: "https://example.com", Succeeded: n%100 > 0, StatusCode: 200, Response: []byte("ok"), StartedAt: at},
		}
	}
	const size = 500
	step := time.Since(begin) / time.Duration(rows/size)
	for from := 0; from < rows; from += size {
		batch := store.Batch{Now: begin.Add(time.Duration(from/size) * step)}
		for n := from; n < from+size; n++ {
			accept.Type = fmt.Sprint("type.", n%10)
			if n%10_000 == 0 {
				accept.Type = "rare"
			}
			batch.Accepts = append(batch.Accepts, accept)
		}
		done := store.Batch{Now: batch.Now}
		for i, verdict := range commit(&batch) {
			done.Outcomes = append(done.Outcomes, outcome(verdict.Event, batch.Now, from+i))
		}
		commit(&done)
	}
	accept.UID, accept.Endpoints = "often", nil
	often := commit(&store.Batch{Now: time.Now(), Accepts: []store.Accept{accept}})[0].Event
	for from := 0; from < rows; from += size {
		batch := store.Batch{Now: time.Now()}
		for n := from; n < from+size; n++ {
			made := outcome(often, batch.Now, n)
			made.Attempt.Trigger = webhook.Manual
			batch.Outcomes = append(batch.Outcomes, made)
		}
		commit(&batch)
	}
}

// fillTypes makes event types, half of them archived.
func fillTypes(b *testing.B, st store.Store, rows int) {
	b.Helper()
	const size = 1000
	for from := 0; from < rows; from += size {
		types := make([]store.EventType, 0, size)
		for n := from; n < from+size; n++ {
			key, err := st.NewKey(b.Context())
			check(b, err)
			types = append(types, store.EventType{
				Key: store.EventTypeKey(key), Organisation: string(neohook.DefaultOrganisation), Name: fmt.Sprintf("type.%07d", n),
				Archived: n%2 == 0, Schemas: []byte(orderSchema), CreatedAt: time.Now(), UpdatedAt: time.Now(), Version: 1,
			})
		}
		check(b, st.PutEventTypes(b.Context(), types, nil))
	}
}

// fillDirectory copies the tenant, the endpoints, the token, and where an event stands at an
// endpoint: through a store, each would be a transaction of its own.
func fillDirectory(b *testing.B, file string, keyset []byte, rows int) {
	b.Helper()
	db, err := sql.Open("sqlite", file)
	check(b, err)
	defer db.Close()
	tx, err := db.BeginTx(b.Context(), nil)
	check(b, err)
	tenants := columnOf(b, tx, "SELECT DISTINCT tenant FROM endpoint ORDER BY tenant")
	first := 1 << 20 // key of the copies, above all that the store has drawn
	clone(b, tx, "tenant", "uid = 'acme'", map[string]string{"key": "copy.number", "uid": "NULL"}, first, rows)
	clone(b, tx, "token", "TRUE", map[string]string{"key": "copy.number", "hash": "randomblob(32)"}, first, rows)
	for _, tenant := range tenants {
		clone(b, tx, "endpoint", fmt.Sprint("tenant = ", tenant), map[string]string{"key": "copy.number", "uid": "NULL"}, first, rows)
		sealed(b, tx, keyset, store.TenantKey(tenant), first, rows)
		first += rows
	}
	often := columnOf(b, tx, "SELECT key FROM event WHERE uid = 'often'")[0]
	acme := 1 << 20
	clone(b, tx, "history", "TRUE", map[string]string{"event": fmt.Sprint(often), "endpoint": "copy.number"}, acme, rows)
	check(b, tx.Commit())
}

// clone copies a row that has what where says, with other values in some columns;
// copy.number counts the copies from first on.
func clone(b *testing.B, tx *sql.Tx, table, where string, own map[string]string, first, rows int) {
	b.Helper()
	var columns, values []string
	found, err := tx.QueryContext(b.Context(), "SELECT name FROM pragma_table_info(?)", table)
	check(b, err)
	defer found.Close()
	for found.Next() {
		var name string
		check(b, found.Scan(&name))
		value, is := own[name]
		if !is {
			value = name
		}
		columns, values = append(columns, name), append(values, value)
	}
	check(b, found.Err())
	_, err = tx.ExecContext(b.Context(), fmt.Sprintf(
		`WITH RECURSIVE copy (number) AS (SELECT %d UNION ALL SELECT number + 1 FROM copy LIMIT %d)
		INSERT INTO %s (%s) SELECT %s FROM (SELECT * FROM %s WHERE %s LIMIT 1), copy`,
		first, rows, table, strings.Join(columns, ", "), strings.Join(values, ", "), table, where))
	check(b, err)
}

func columnOf(b *testing.B, tx *sql.Tx, query string) (values []int64) {
	b.Helper()
	found, err := tx.QueryContext(b.Context(), query)
	check(b, err)
	defer found.Close()
	for found.Next() {
		var value int64
		check(b, found.Scan(&value))
		values = append(values, value)
	}
	check(b, found.Err())
	return values
}

// sealed gives each copied endpoint a secret that is sealed for it.
func sealed(b *testing.B, tx *sql.Tx, keyset []byte, tenant store.TenantKey, first, rows int) {
	b.Helper()
	keys, err := seal.Parse(keyset)
	check(b, err)
	ids, err := ident.New(ident.NewSecret())
	check(b, err)
	records := &record.Translator{IDs: ids, Keyset: keys}
	update, err := tx.PrepareContext(b.Context(), "UPDATE endpoint SET sealed_secrets = ? WHERE key = ?")
	check(b, err)
	defer update.Close()
	for n := range rows {
		made := store.Endpoint{Key: store.EndpointKey(first + n), Tenant: tenant}
		check(b, records.PutEndpoint(&made, &webhook.Endpoint{URL: "https://example.com", Secret: knownSecret}))
		_, err := update.ExecContext(b.Context(), made.SealedSecrets, int64(made.Key))
		check(b, err)
	}
}
