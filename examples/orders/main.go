// Command orders is a small shop that tells its customers' systems of each order. An order
// and its event are stored in one transaction: there is never an order of which nobody is
// told, and never an event of an order that there is not.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/egress"
	"github.com/neohook/neohook/store/sqlite"
	"github.com/neohook/neohook/webhook"
)

func main() {
	folder, err := os.MkdirTemp("", "neohook-orders-")
	if err == nil {
		err = run(context.Background(), filepath.Join(folder, "shop.db"), os.Stdout)
	}
	_ = os.RemoveAll(folder)
	if err != nil {
		log.Fatal(err)
	}
}

// shop keeps its own tables in the database that the engine's store is in.
type shop struct {
	db     *sql.DB
	store  *sqlite.Store
	engine *neohook.Engine
}

// Tables of one's own begin with app_.
const tables = `
	CREATE TABLE IF NOT EXISTS app_stock (item TEXT PRIMARY KEY, pieces INTEGER NOT NULL CHECK (pieces >= 0));
	CREATE TABLE IF NOT EXISTS app_order (number INTEGER PRIMARY KEY, item TEXT NOT NULL, pieces INTEGER NOT NULL);
	INSERT OR REPLACE INTO app_stock VALUES ('teapot', 5)`

// order takes pieces out of the stock, stores an order for them, and hands over the event,
// all or nothing.
func (s *shop) order(ctx context.Context, item string, pieces int) (number int64, err error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }() // does nothing once it is committed

	err = tx.QueryRowContext(ctx, `INSERT INTO app_order (item, pieces) VALUES (?, ?) RETURNING number`, item, pieces).Scan(&number)
	if err != nil {
		return 0, err
	}
	payload, err := json.Marshal(map[string]any{"order": number, "item": item, "pieces": pieces})
	if err != nil {
		return 0, err
	}
	// On PostgreSQL this is store.PgxTx(tx), or SQLTx as here. The UID is a name by which the
	// event can be found again.
	receipt, err := s.engine.PublishTx(ctx, s.store.SQLTx(tx), webhook.Event{
		Tenant: "acme", UID: fmt.Sprintf("order-%d", number), Type: "order.placed", Payload: payload,
	})
	if err != nil {
		return 0, err
	}
	// That there are not enough shows only now: with the order, its event is undone.
	if _, err := tx.ExecContext(ctx, `UPDATE app_stock SET pieces = pieces - ? WHERE item = ?`, pieces, item); err != nil {
		return 0, fmt.Errorf("%d pieces of %s: %w", pieces, item, err)
	}
	if err := tx.Commit(); err != nil {
		return 0, err
	}
	receipt.Committed() // or it would go out within a second
	return number, nil
}

func run(ctx context.Context, database string, out io.Writer) error {
	store, err := sqlite.Open(ctx, database)
	if err != nil {
		return err
	}
	defer store.Close()
	engine, err := neohook.New(ctx, store, neohook.Options{
		// This example's receiver is on this machine, which is refused unless allowed.
		Egress: egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
	})
	if err != nil {
		return err
	}
	db, err := sql.Open("sqlite", store.DSN())
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1) // SQLite lets one write at a time
	if _, err := db.ExecContext(ctx, tables); err != nil {
		return err
	}

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- engine.Run(ctx) }()
	err = sell(ctx, &shop{db, store, engine}, out)
	stop()
	return errors.Join(err, <-ended)
}

// sell takes orders, and waits until the customer's system has heard of those that stand.
func sell(ctx context.Context, s *shop, out io.Writer) error {
	receiver, arrived := receive()
	defer receiver.Close()
	if _, err := s.engine.CreateTenant(ctx, webhook.Tenant{UID: "acme", Name: "Acme"}); err != nil {
		return err
	}
	if _, err := s.engine.CreateEndpoint(ctx, "acme", webhook.Endpoint{URL: receiver.URL, Ordered: true}); err != nil {
		return err
	}
	for _, pieces := range []int{2, 4, 3} {
		number, err := s.order(ctx, "teapot", pieces)
		if err != nil {
			fmt.Fprintln(out, "refused:", err)
			continue
		}
		fmt.Fprintf(out, "order %d is stored\n", number)
		fmt.Fprintf(out, "heard of: %s\n", <-arrived)
	}
	return nil
}

// receive is the customer's system. See examples/embed for one that checks the signature.
func receive() (server *httptest.Server, arrived <-chan string) {
	bodies := make(chan string, 1)
	return httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies <- string(body)
	})), bodies
}
