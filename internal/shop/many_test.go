package shop

import (
	"sync"
	"testing"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/webhook"
)

// Many order at once, a third of them give up, and others publish beside them.
func TestManyAtOnceAreToldOnceEach(t *testing.T) {
	for name, open := range openers {
		t.Run(name, func(t *testing.T) {
			const shoppers, each = 8, 30
			adapter := memadapter.New()
			s := open.open(t, t.TempDir(), neohook.Options{Adapter: adapter})
			s.begin(t)
			stop := s.run(t)
			if _, err := s.eng.CreateTenant(t.Context(), webhook.Tenant{UID: "beside", Name: "Beside"}); err != nil {
				t.Fatal(err)
			}
			var shopping sync.WaitGroup
			for shopper := range int64(shoppers) {
				shopping.Go(func() {
					for i := range int64(each) {
						if err := s.order(t.Context(), shopper*each+i, i%3 == 0); err != nil {
							t.Errorf("order: %v", err)
						}
						if _, err := s.eng.Publish(t.Context(), webhook.Event{Tenant: "beside", Type: "a"}); err != nil {
							t.Errorf("publish: %v", err)
						}
					}
				})
			}
			shopping.Wait()
			s.settle(t)
			if orders := s.same(t); len(orders) != shoppers*each*2/3 {
				t.Errorf("%d orders are stored, want %d", len(orders), shoppers*each*2/3)
			}
			stop()
		})
	}
}

// A transaction with an event in it stays open while others order and publish. SQLite has
// one writer at a time, so there they wait for it, and go through then.
func TestAnOpenTransactionLosesNothingOfOthers(t *testing.T) {
	for name, open := range openers {
		t.Run(name, func(t *testing.T) {
			s := open.open(t, t.TempDir(), neohook.Options{Adapter: memadapter.New()})
			s.begin(t)
			s.run(t)
			tx, err := s.db.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.ExecContext(t.Context(), "INSERT INTO app_order VALUES (1)"); err != nil {
				t.Fatal(err)
			}
			event := webhook.Event{Tenant: "acme", UID: "order-1", Type: "order.placed", Payload: payload}
			if _, err := s.eng.PublishTx(t.Context(), s.tx(tx), event); err != nil {
				t.Fatal(err)
			}
			others := make(chan error, 1)
			go func() {
				for number := int64(2); number < 12; number++ {
					if err := s.order(t.Context(), number, false); err != nil {
						others <- err
						return
					}
				}
				_, err := s.eng.Publish(t.Context(), webhook.Event{Tenant: "acme", UID: "order-12", Type: "order.placed", Payload: payload})
				others <- err
			}()
			if name != "sqlite" {
				if err := <-others; err != nil {
					t.Fatal(err)
				}
				s.settle(t)
				if told := s.told(t); len(told) != 11 {
					t.Errorf("told of %v while it is open", told)
				}
			}
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
			if name == "sqlite" {
				if err := <-others; err != nil {
					t.Fatal(err)
				}
			}
			s.settle(t)
			if told := s.told(t); len(told) != 12 || told[0] != 1 {
				t.Errorf("told of %v in the end", told)
			}
		})
	}
}
