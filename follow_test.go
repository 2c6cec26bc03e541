package neohook_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/webhook"
)

// states reads what is recorded next, as "waiting exhausted".
func states(t *testing.T, f *neohook.Follower) (text string, last string) {
	t.Helper()
	list, missed, err := f.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	if missed {
		words = append(words, "…")
	}
	for _, p := range list {
		words = append(words, p.State.String())
		last = p.ID
	}
	return strings.Join(words, " "), last
}

func TestFollowerSeesWhatIsRecorded(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		adapter := memadapter.New()
		adapter.Script(memadapter.Reply{StatusCode: 500}, memadapter.Reply{StatusCode: 204})
		eng, stop := startFake(t, memstore.New(), adapter, neohook.Options{Schedule: webhook.Schedule{time.Minute}, Jitter: -1})
		createTenant(t, eng, "acme")
		createTenant(t, eng, "other")
		ep := createEndpoint(t, eng, "acme", webhook.Endpoint{UID: "one", URL: "https://acme.example"})
		follow := func(opts neohook.FollowOptions) *neohook.Follower {
			t.Helper()
			f, err := eng.Follow(t.Context(), "acme", opts)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(f.Close)
			return f
		}
		all, elsewhere := follow(neohook.FollowOptions{}), follow(neohook.FollowOptions{Endpoints: []webhook.EndpointID{
			createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://never.example", EventTypes: []string{"never"}}).ID,
		}})
		event := publish(t, eng, "acme", `{}`)
		list, missed, err := all.Next(t.Context())
		if err != nil || missed || len(list) != 1 {
			t.Fatalf("%+v, %v, %v", list, missed, err)
		}
		first := list[0]
		if first.Event != event.ID || first.Endpoint != ep.ID || first.State != webhook.Waiting || first.EventType != "invoice.paid" ||
			first.Attempt == nil || first.Attempt.StatusCode != 500 || first.Attempt.Number != 1 || !first.DueAt.After(first.Attempt.StartedAt) {
			t.Errorf("%+v with %+v", first, first.Attempt)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if got, _ := states(t, all); got != "succeeded" {
			t.Errorf("then %s, want succeeded", got)
		}
		again := follow(neohook.FollowOptions{After: first.ID})
		if got, _ := states(t, again); got != "succeeded" {
			t.Errorf("behind the first %s, want succeeded", got)
		}
		for _, id := range []string{"x", "x-1", strings.Split(first.ID, "-")[0] + "-zzzzz", strings.Split(first.ID, "-")[0]} {
			if got, _ := states(t, follow(neohook.FollowOptions{After: id, Endpoints: []webhook.EndpointID{"one"}})); !strings.HasPrefix(got, "…") {
				t.Errorf("behind %s: %s, want that some were missed", id, got)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if list, _, err := elsewhere.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("at another endpoint: %+v, %v", list, err)
		}
		follow(neohook.FollowOptions{})
		_, err = eng.Follow(t.Context(), "acme", neohook.FollowOptions{})
		wantErr(t, "a ninth", err, neohook.ErrTooManyFollowers)
		_, err = eng.Follow(t.Context(), "other", neohook.FollowOptions{Endpoints: []webhook.EndpointID{"one"}})
		wantErr(t, "another tenant's endpoint", err, neohook.ErrNotFound)
		stop()
		if _, _, err := all.Next(t.Context()); !errors.Is(err, neohook.ErrStopped) {
			t.Errorf("err = %v after the end, want ErrStopped", err)
		}
	})
}
