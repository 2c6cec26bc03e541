package storetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// together runs do in count goroutines, lets them go at once, and waits for all.
func (w *world) together(count int, do func(number int)) {
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	for number := range count {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-start
			do(number)
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
}

func oneOfManyRepeatsIsAccepted(w *world) {
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	for round := range uint64(10) {
		accept := w.accept(tenant, ep)
		accept.Once = w.once(round, time.Hour)
		var verdicts [8]store.Verdict
		w.together(len(verdicts), func(number int) {
			got, err := w.Commit(w.ctx, &store.Batch{Now: w.now, Accepts: []store.Accept{accept}})
			if err != nil {
				w.Error(err)
				return
			}
			verdicts[number] = got[0]
		})
		accepted := 0
		for _, verdict := range verdicts {
			if verdict.Kind == store.Accepted {
				accepted++
			}
			same(w, "event", verdict.Event, verdicts[0].Event)
		}
		same(w, "accepted", accepted, 1)
	}
	same(w, "open", len(mustGet[store.FreshPage](w)(w.Fresh(w.ctx, ep, 0, 99)).Deliveries), 10)
}

func oneOfManyHasTheUID(w *world) {
	var stored, refused atomic.Int32
	tenants := make([]store.Tenant, 8)
	for i := range tenants {
		tenants[i] = w.newTenant("acme")
	}
	w.together(len(tenants), func(number int) {
		switch err := w.InsertTenant(w.ctx, tenants[number], nil); {
		case err == nil:
			stored.Add(1)
		case errors.Is(err, store.ErrConflict):
			refused.Add(1)
		default:
			w.Error(err)
		}
	})
	same(w, "stored", stored.Load(), 1)
	same(w, "refused", refused.Load(), 7)
}

func laterEventHasTheHigherKey(w *world) {
	tenant := w.tenant()
	accept := w.accept(tenant)
	var highest atomic.Int64 // of those acknowledged
	w.together(4, func(int) {
		for range 50 {
			before := highest.Load()
			verdicts, err := w.Commit(w.ctx, &store.Batch{Now: w.now, Accepts: []store.Accept{accept, accept}})
			if err != nil {
				w.Error(err)
				return
			}
			for _, verdict := range verdicts {
				key := int64(verdict.Event)
				if key <= before {
					w.Errorf("key %d, though %d was acknowledged before", key, before)
				}
				for seen := highest.Load(); key > seen && !highest.CompareAndSwap(seen, key); seen = highest.Load() {
				}
			}
		}
	})
	listed := mustGet[store.Listed[store.Event]](w)(w.Events(w.ctx, tenant, store.EventFilter{}, store.Page{Limit: 999}))
	same(w, "events", len(listed.Items), 4*50*2)
}

func changeCountsForCommitsThatBeginAfterIt(w *world) {
	tenant := w.tenant()
	ep := w.newEndpoint(tenant, "")
	w.must(w.InsertEndpoint(w.ctx, ep, nil))
	var changed atomic.Int64 // the routes version that every later commit must know
	changed.Store(w.version(tenant))
	stop := make(chan struct{})
	var publishers sync.WaitGroup
	for range 3 {
		publishers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				atLeast := changed.Load()
				routes, err := w.Routes(w.ctx, tenant)
				if err != nil {
					w.Error(err)
					return
				}
				if routes.Version < atLeast {
					w.Errorf("Routes has version %d, though %d was there before", routes.Version, atLeast)
				}
				atLeast = changed.Load()
				verdicts, err := w.Commit(w.ctx, &store.Batch{Now: w.now, Accepts: []store.Accept{{
					Tenant: tenant, RouteVersion: routes.Version, Type: "a",
				}}})
				if err != nil {
					w.Error(err)
					return
				}
				if verdicts[0].Kind == store.Accepted && routes.Version < atLeast {
					w.Errorf("accepted by routes of version %d, though %d was there before", routes.Version, atLeast)
				}
			}
		})
	}
	for version := int64(2); version < 40; version++ {
		ep.Version = version
		w.must(w.UpdateEndpoint(w.ctx, ep, nil))
		changed.Store(w.version(tenant))
	}
	close(stop)
	publishers.Wait()
}

// routesAreOneReading reads a tenant's routes while endpoints are added to it.
func routesAreOneReading(w *world) {
	tenant := w.tenant()
	first := w.version(tenant)
	stop := make(chan struct{})
	seen := make(map[int64]int) // by version, how many endpoints
	var reading sync.WaitGroup
	reading.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			routes, err := w.Routes(w.ctx, tenant)
			if err != nil {
				w.Error(err)
				return
			}
			seen[routes.Version] = len(routes.Endpoints)
		}
	})
	counts := map[int64]int{first: 0}
	for count := 1; count <= 100; count++ {
		w.endpoint(tenant)
		counts[w.version(tenant)] = count
	}
	close(stop)
	reading.Wait()
	for version, count := range seen {
		same(w, fmt.Sprint("endpoints at version ", version), count, counts[version])
	}
}

func readerSeesAnEventWithItsDeliveries(w *world) {
	tenant := w.tenant()
	endpoints := []store.EndpointKey{w.endpoint(tenant), w.endpoint(tenant), w.endpoint(tenant)}
	accept := w.accept(tenant, endpoints...)
	stop := make(chan struct{})
	var reading sync.WaitGroup
	for range 2 {
		reading.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				listed, err := w.Events(w.ctx, tenant, store.EventFilter{WithPayload: true}, store.Page{Limit: 3, Descending: true})
				if err != nil {
					w.Error(err)
					return
				}
				for _, ev := range listed.Items {
					if string(ev.Payload) != string(accept.Payload) {
						w.Errorf("event %d has payload %q", ev.Key, ev.Payload)
					}
					for _, ep := range endpoints {
						if _, err := w.Delivery(w.ctx, ep, ev.Key); err != nil {
							w.Errorf("delivery of event %d, which is there: %v", ev.Key, err)
						}
					}
				}
			}
		})
	}
	for range 60 {
		w.commit(accept, accept)
	}
	close(stop)
	reading.Wait()
}

// deliveryIsAlwaysSomewhere reads deliveries while they end.
func deliveryIsAlwaysSomewhere(w *world) {
	tenant := w.tenant()
	ep := w.endpoint(tenant)
	events := w.publish(100, tenant, ep)
	done := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() {
		for at := 0; ; at++ {
			select {
			case <-done:
				return
			default:
			}
			if _, err := w.Delivery(w.ctx, ep, events[at%len(events)]); err != nil {
				w.Errorf("event %d: %v", events[at%len(events)], err)
			}
		}
	})
	for _, event := range events {
		w.record(w.outcome(tenant, ep, event, 0, webhook.Succeeded))
	}
	close(done)
	reading.Wait()
}

func closeWaitsForWhatIsUnderWay(w *world) {
	tenant := w.tenant()
	accept := w.accept(tenant)
	began := make(chan struct{}, 1)
	var calls sync.WaitGroup
	for number := range 4 {
		calls.Go(func() {
			for {
				var err error
				if number%2 == 0 {
					_, err = w.Commit(w.ctx, &store.Batch{Now: w.now, Accepts: []store.Accept{accept}})
				} else {
					_, err = w.Events(w.ctx, tenant, store.EventFilter{}, store.Page{Limit: 9})
				}
				select {
				case began <- struct{}{}:
				default:
				}
				if errors.Is(err, store.ErrClosed) {
					return
				}
				if err != nil {
					w.Error(fmt.Errorf("while it closes: %w", err))
					return
				}
			}
		})
	}
	<-began
	w.must(w.Close())
	calls.Wait()
}
