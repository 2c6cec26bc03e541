package shop

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/sqlite"
	"github.com/neohook/neohook/webhook"
)

// shop is a program with orders of its own beside the engine's store.
type shop struct {
	store store.Store
	db    *sql.DB
	tx    func(*sql.Tx) store.Tx
	eng   *neohook.Engine
}

// opener opens the shop that is at a place, a folder of its own.
type opener func(t testing.TB, folder string) *shop

// openers has the stores.
var openers = map[string]opener{"sqlite": openSQLite}

// environment is what another process needs to open the same shops.
var environment = func(testing.TB) []string { return nil }

func openSQLite(t testing.TB, folder string) *shop {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(folder, "shop.db"))
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", s.DSN())
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1) // as many as can write
	return &shop{store: s, db: db, tx: s.SQLTx}
}

// open opens a shop with its table and an engine that sends by an adapter; it is closed at
// the end of the test.
func (open opener) open(t testing.TB, folder string, opts neohook.Options) *shop {
	t.Helper()
	s := open(t, folder)
	t.Cleanup(s.close)
	opts.KeysetFile = filepath.Join(folder, "keyset.json")
	var err error
	if s.eng, err = neohook.New(t.Context(), s.store, opts); err != nil {
		t.Fatal(err)
	}
	if _, err := s.db.ExecContext(t.Context(), "CREATE TABLE IF NOT EXISTS app_order (number BIGINT PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *shop) close() {
	_ = s.db.Close()
	_ = s.store.Close()
}

// run lets the engine run until the function it returns is called.
func (s *shop) run(t testing.TB) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- s.eng.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// begin makes the customer.
func (s *shop) begin(t testing.TB) {
	t.Helper()
	if _, err := s.eng.CreateTenant(t.Context(), webhook.Tenant{UID: "acme", Name: "Acme"}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.eng.CreateEndpoint(t.Context(), "acme", webhook.Endpoint{URL: "https://acme.example"}); err != nil {
		t.Fatal(err)
	}
}

var payload = []byte(`{"pad":"` + strings.Repeat("x", 1000) + `"}`)

// order stores an order with its event, unless it is given up.
func (s *shop) order(ctx context.Context, number int64, giveUp bool) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("INSERT INTO app_order VALUES (%d)", number)); err != nil {
		return err
	}
	receipt, err := s.eng.PublishTx(ctx, s.tx(tx), webhook.Event{
		Tenant: "acme", UID: fmt.Sprint("order-", number), Type: "order.placed", Payload: payload,
	})
	if err != nil || giveUp {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	if number%2 == 0 { // the others are found by looking
		receipt.Committed()
	}
	return nil
}

// orders are the numbers of the orders that are stored.
func (s *shop) orders(t *testing.T) (numbers []int64) {
	t.Helper()
	rows, err := s.db.QueryContext(t.Context(), "SELECT number FROM app_order ORDER BY number")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var number int64
		if err := rows.Scan(&number); err != nil {
			t.Fatal(err)
		}
		numbers = append(numbers, number)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return numbers
}

// told are the numbers of the orders whose events were accepted, each as often as it was.
func (s *shop) told(t *testing.T) (numbers []int64) {
	t.Helper()
	for page := (neohook.Page{Limit: 250}); ; {
		list, err := s.eng.Events(t.Context(), "acme", neohook.EventFilter{}, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, event := range list.Items {
			var number int64
			if _, err := fmt.Sscanf(event.UID, "order-%d", &number); err != nil {
				t.Fatalf("event %q: %v", event.UID, err)
			}
			numbers = append(numbers, number)
		}
		if list.Done {
			slices.Sort(numbers)
			return numbers
		}
		page.After = list.Last
	}
}

// settle waits until nothing is in the outbox.
func (s *shop) settle(t *testing.T) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		waiting, err := s.store.CountOutbox(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		if waiting == 0 {
			return
		}
		select {
		case <-deadline:
			t.Fatal("the outbox is not empty after a minute")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// same compares the orders with what was told of them.
func (s *shop) same(t *testing.T) (orders []int64) {
	t.Helper()
	orders = s.orders(t)
	if told := s.told(t); !slices.Equal(told, orders) {
		t.Errorf("%d orders are stored, and %d were told of:\n%v\n%v", len(orders), len(told), orders, told)
	}
	return orders
}
