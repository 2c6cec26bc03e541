package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// maxResultBytes bounds what a job that counts may find, as it is stored, and
// resultTooLarge is why one fails that finds more.
const (
	maxResultBytes = 8 << 20
	resultTooLarge = "what it has found is more than 8 MiB: name fewer tenants at a time"
)

// counting is how far a job has come that counts. It is not stored: who goes on with such a
// job begins anew.
type counting struct {
	tenants []store.Tenant // read, and not counted yet
	next    int            // of the spec's tenants
	after   store.TenantKey
	// What there is of the first of tenants: the endpoints up to one, and what they listen to.
	endpoint store.EndpointKey
	types    map[string]struct{}
	all      bool

	found []json.RawMessage
	bytes int
}

// tally takes a job further that counts. A step reads for some milliseconds, and rests for
// as long.
func (r *Runner) tally(ctx context.Context, of *run, now time.Time) (time.Duration, error) {
	const budget = 10 * time.Millisecond
	begun := time.Now()
	for more := true; more; {
		var err error
		if more, err = r.tallySome(ctx, of); err != nil {
			return 0, err
		}
		switch {
		case of.counting.bytes > maxResultBytes:
			return 0, r.finish(ctx, of, of.end(webhook.JobFailed, resultTooLarge, now))
		case !more:
			result, err := json.Marshal(of.counting.found)
			if err != nil {
				return 0, err
			}
			of.job.Result = result
			return 0, r.finish(ctx, of, of.end(webhook.JobFinished, "", now))
		case time.Since(begun) > budget:
			more = false
		}
	}
	return time.Since(begun), r.save(ctx, of, now)
}

// tallySome counts a tenant, or a page of its endpoints, and says whether there may be more.
func (r *Runner) tallySome(ctx context.Context, of *run) (bool, error) {
	c := &of.counting
	if len(c.tenants) == 0 {
		return r.readTenants(ctx, of)
	}
	tenant := &c.tenants[0]
	if of.job.Kind == webhook.JobSubscriptions {
		done, err := r.gather(ctx, c, tenant)
		if err != nil || !done {
			return true, err
		}
		return true, of.add(Subscriptions{
			Tenant: r.TenantID(tenant), UID: tenant.UID, Types: slices.Sorted(maps.Keys(c.types)), All: c.all,
		})
	}
	sums, err := r.Store.Sums(ctx, store.SumQuery{Tenant: tenant.Key, Unit: of.spec.Count.Unit, From: of.spec.Count.From, To: of.spec.Count.To})
	if err != nil {
		return true, err
	}
	usage := Usage{Tenant: r.TenantID(tenant), UID: tenant.UID}
	for i := range sums {
		usage.Deliveries += sums[i].Counts[store.DeliveriesMade]
	}
	return true, of.add(usage)
}

// readTenants reads those that come next, and says whether there are any.
func (r *Runner) readTenants(ctx context.Context, of *run) (bool, error) {
	c := &of.counting
	if named := of.spec.Count.Tenants; named != nil {
		if c.next == len(named) {
			return false, nil
		}
		tenant, err := r.Store.Tenant(ctx, of.job.Organisation, named[c.next])
		switch {
		case err == nil:
			c.tenants = []store.Tenant{tenant}
		case !errors.Is(err, store.ErrNotFound): // it was deleted
			return true, err
		}
		c.next++
		return true, nil
	}
	const some = 100
	read, err := r.Store.Tenants(ctx, of.job.Organisation, store.Page{After: int64(c.after), Limit: some})
	if err != nil || len(read) == 0 {
		return err != nil, err
	}
	c.tenants, c.after = read, read[len(read)-1].Key
	return true, nil
}

// gather reads a page of a tenant's endpoints, and says whether it was the last.
func (r *Runner) gather(ctx context.Context, c *counting, tenant *store.Tenant) (bool, error) {
	const some = 250
	read, err := r.Store.Endpoints(ctx, tenant.Key, store.Page{After: int64(c.endpoint), Limit: some})
	if err != nil {
		return false, err
	}
	for i := range read {
		c.endpoint = read[i].Key
		c.all = c.all || len(read[i].EventTypes) == 0
		for _, name := range read[i].EventTypes {
			if c.types == nil {
				c.types = make(map[string]struct{})
			}
			c.types[name] = struct{}{}
		}
	}
	return len(read) < some, nil
}

// add takes what was found of the first tenant into the result.
func (of *run) add(found any) error {
	text, err := json.Marshal(found)
	if err != nil {
		return err
	}
	c := &of.counting
	c.found = append(c.found, text)
	c.bytes += len(text) + len(",")
	c.tenants, c.endpoint, c.types, c.all = c.tenants[1:], 0, nil, false
	of.job.Examined++
	of.job.Matched++
	of.unstored++
	return nil
}

// Usage is what a webhook.JobUsage has found of a tenant.
type Usage struct {
	Tenant     webhook.TenantID `json:"tenant"`
	UID        string           `json:"uid,omitempty"`
	Deliveries int64            `json:"deliveries"`
}

// Subscriptions is what a webhook.JobSubscriptions has found of a tenant.
type Subscriptions struct {
	Tenant webhook.TenantID `json:"tenant"`
	UID    string           `json:"uid,omitempty"`
	// Types are those that its endpoints name, and All says that one of them hears of all.
	Types []string `json:"types"`
	All   bool     `json:"all"`
}

// Found decodes the result of a job that has counted: into Usage or Subscriptions.
func Found[T Usage | Subscriptions](result []byte) ([]T, error) {
	if len(result) == 0 {
		return nil, nil
	}
	var found []T
	if err := json.Unmarshal(result, &found); err != nil {
		return nil, fmt.Errorf("result of a job: %w", err)
	}
	return found, nil
}
