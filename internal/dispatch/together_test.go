package dispatch

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/neohook/neohook/internal/lane"
	"github.com/neohook/neohook/internal/outcome"
	"github.com/neohook/neohook/store"
)

// rack has the same fresh deliveries for each of many endpoints.
type rack struct {
	shelf
	endpoints       int
	alone, together int // readings of fresh deliveries
}

func (r *rack) lanesIn(_ context.Context, _ []store.Bucket, after store.EndpointKey, _ int) (lanes []store.Lane, err error) {
	for endpoint := after + 1; int(endpoint) <= r.endpoints; endpoint++ {
		lanes = append(lanes, store.Lane{Endpoint: endpoint, Tenant: 1})
	}
	return lanes, nil
}

func (r *rack) Fresh(ctx context.Context, endpoint store.EndpointKey, from store.EventKey, limit int) (store.FreshPage, error) {
	r.mu.Lock()
	r.alone++
	r.mu.Unlock()
	return r.shelf.Fresh(ctx, endpoint, from, limit)
}

func (r *rack) freshOf(ctx context.Context, from []store.FreshFrom, limit int) (pages []store.FreshPage, err error) {
	r.mu.Lock()
	r.together++
	r.mu.Unlock()
	for _, of := range from {
		page, err := r.shelf.Fresh(ctx, of.Endpoint, of.From, limit)
		if err != nil {
			return nil, err
		}
		pages = append(pages, page)
	}
	return pages, nil
}

// secretive has one endpoint whose settings can't be read.
type secretive struct {
	three
	closed store.EndpointKey
}

func (s secretive) Settings(ctx context.Context, tenant store.TenantKey, endpoint store.EndpointKey) (lane.Settings, error) {
	if endpoint == s.closed {
		return lane.Settings{}, errors.New("can't be unsealed")
	}
	return s.three.Settings(ctx, tenant, endpoint)
}

// takeOver has a Dispatcher take over all that is on a rack, and returns how much it has
// sent after a moment.
func takeOver(t *testing.T, r *rack, closed store.EndpointKey) (sent int) {
	got := &receiver{}
	out := outcome.New()
	d := New(lane.Limits{Attempts: 100, Unrecorded: 1000, Rows: 1000, Bytes: 1 << 20, Page: 4}, r, secretive{closed: closed}, got, out, slog.New(slog.DiscardHandler))
	d.Share(Share{Holds: func() bool { return true }, LanesIn: r.lanesIn, FreshOf: r.freshOf})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		d.Run(ctx, time.Minute)
		close(ended)
	}()
	all := make([]store.Bucket, store.BucketCount)
	for i := range all {
		all[i] = store.Bucket(i)
	}
	d.Own(time.Now(), all)
	if err := d.Recovered(ctx, all); err != nil {
		t.Error(err)
	}
	sent = len(got.sent())
	cancel()
	<-ended
	return sent
}

func TestLanesAreReadTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rack{shelf: shelf{open: []store.Open{{Event: 1}, {Event: 2}, {Event: 3}}}, endpoints: 40}
		sent := takeOver(t, r, 0)
		if sent != 120 || r.together != 1 || r.alone != 0 {
			t.Errorf("%d sent after %d readings of many and %d of one, want 120, 1 and 0", sent, r.together, r.alone)
		}
	})
}

func TestLaneThatCannotBeReadHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rack{shelf: shelf{open: []store.Open{{Event: 1}, {Event: 2}, {Event: 3}}}, endpoints: 40}
		if sent := takeOver(t, r, 7); sent != 117 {
			t.Errorf("%d sent, want 117", sent)
		}
	})
}
