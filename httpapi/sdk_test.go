package httpapi_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	svix "github.com/svix/svix-webhooks/go"
	"github.com/svix/svix-webhooks/go/models"
	"github.com/svix/svix-webhooks/go/utils"

	"github.com/neohook/neohook/adapter/httpadapter"
	"github.com/neohook/neohook/egress"
	"github.com/neohook/neohook/store"
)

// client returns the published client, talking to the world.
func (w *world) client(token string) *svix.Svix {
	w.Helper()
	address, err := url.Parse(w.server.URL)
	check(w, err)
	client, err := svix.New(token, &svix.SvixOptions{ServerUrl: address, HTTPClient: w.server.Client()})
	check(w, err)
	return client
}

func ptr[T any](value T) *T { return &value }

// refused checks that the client got an error with this status, whose body has the text.
func refused(t *testing.T, err error, status int, text string) {
	t.Helper()
	var failed *svix.Error
	if !errors.As(err, &failed) {
		t.Fatalf("err = %v, want an answer with %d", err, status)
	}
	if failed.Status() != status || !strings.Contains(string(failed.Body()), text) {
		t.Errorf("%d %s, want %d %s", failed.Status(), failed.Body(), status, text)
	}
}

func TestClientApplications(t *testing.T) {
	onEachStore(t, func(t *testing.T, st store.Store) {
		w := newWorld(t, worldOptions{store: st})
		api, ctx := w.client(token).Application, t.Context()

		made, err := api.Create(ctx, models.ApplicationIn{Name: "Acme", Uid: ptr("acme"), ThrottleRate: ptr[uint16](5), Metadata: &map[string]string{"a": "b"}}, nil)
		check(t, err)
		if !strings.HasPrefix(made.Id, "app_") || len(made.Id) != 31 || *made.Uid != "acme" || *made.ThrottleRate != 5 || made.Metadata["a"] != "b" || time.Since(made.CreatedAt) > time.Minute {
			t.Errorf("made %+v", made)
		}
		_, err = api.Create(ctx, models.ApplicationIn{Name: "Acme", Uid: ptr("acme")}, nil)
		refused(t, err, 409, `"code":"conflict"`)
		same, err := api.GetOrCreate(ctx, models.ApplicationIn{Name: "Other", Uid: ptr("acme")}, nil)
		check(t, err)
		got, err := api.Get(ctx, made.Id)
		check(t, err)
		if !reflect.DeepEqual(same, made) || !reflect.DeepEqual(got, made) {
			t.Errorf("made %+v, got or created %+v, got %+v", made, same, got)
		}
		patched, err := api.Patch(ctx, "acme", models.ApplicationPatch{Name: ptr("Acme Inc"), ThrottleRate: utils.NewNullableFromPtr[uint16](nil)})
		check(t, err)
		if patched.Name != "Acme Inc" || patched.ThrottleRate != nil || *patched.Uid != "acme" || !patched.UpdatedAt.After(made.UpdatedAt) {
			t.Errorf("patched %+v", patched)
		}
		replaced, err := api.Update(ctx, "acme", models.ApplicationIn{Name: "New", Uid: ptr("acme2")})
		check(t, err)
		if replaced.Id != made.Id || *replaced.Uid != "acme2" || len(replaced.Metadata) != 0 {
			t.Errorf("replaced %+v", replaced)
		}
		_, err = api.Get(ctx, "acme")
		refused(t, err, 404, `"code":"not_found"`)
		_, err = api.Create(ctx, models.ApplicationIn{}, nil)
		refused(t, err, 422, `"loc":["body","name"]`)
		check(t, api.Delete(ctx, "acme2"))
		refused(t, api.Delete(ctx, made.Id), 404, `"code":"not_found"`)
		check(t, w.client(token).Health.Get(ctx))
		_, err = w.client("nonsense").Application.List(ctx, nil)
		refused(t, err, 401, `"code":"authentication_failed"`)
	})
}

func TestClientEndpoints(t *testing.T) {
	onEachStore(t, func(t *testing.T, st store.Store) {
		w := newWorld(t, worldOptions{store: st})
		api, ctx := w.client(token).Endpoint, t.Context()
		_, err := w.client(token).Application.Create(ctx, models.ApplicationIn{Name: "Acme", Uid: ptr("acme")}, nil)
		check(t, err)

		w.types("a")
		made, err := api.Create(ctx, "acme", models.EndpointIn{
			Url: "https://Example.com", Uid: ptr("ep"), FilterTypes: []string{"a"}, Channels: []string{"c"}, Version: ptr[uint16](2), Description: ptr("mine"),
			RateLimit: ptr[uint16](3), Headers: &map[string]string{"X-Trace": "on", "Authorization": "Bearer " + apiKey}, Secret: ptr(knownSecret),
		}, nil)
		check(t, err)
		if !strings.HasPrefix(made.Id, "ep_") || made.Url != "https://example.com/" || made.Version != 2 || made.Description != "mine" || *made.Disabled ||
			!slices.Equal(made.FilterTypes, []string{"a"}) || !slices.Equal(made.Channels, []string{"c"}) || *made.ThrottleRate != 3 || *made.RateLimit != 3 {
			t.Errorf("made %+v", made)
		}
		got, err := api.Get(ctx, "acme", "ep")
		check(t, err)
		if !reflect.DeepEqual(got, made) {
			t.Errorf("got %+v, made %+v", got, made)
		}
		secret, err := api.GetSecret(ctx, "acme", "ep")
		check(t, err)
		headers, err := api.GetHeaders(ctx, "acme", "ep")
		check(t, err)
		if secret.Key != knownSecret || !reflect.DeepEqual(headers, &models.EndpointHeadersOut{Headers: map[string]string{"X-Trace": "on"}, Sensitive: []string{"Authorization"}}) {
			t.Errorf("secret %+v, headers %+v", secret, headers)
		}
		check(t, api.PatchHeaders(ctx, "acme", "ep", models.EndpointHeadersPatchIn{DeleteHeaders: []string{"Authorization"}}))
		check(t, api.PatchHeaders(ctx, "acme", "ep", models.EndpointHeadersPatchIn{Headers: map[string]string{"X-More": "1"}}))
		headers, err = api.GetHeaders(ctx, "acme", "ep")
		check(t, err)
		if !reflect.DeepEqual(headers.Headers, map[string]string{"X-Trace": "on", "X-More": "1"}) || len(headers.Sensitive) != 0 {
			t.Errorf("patched headers %+v", headers)
		}
		check(t, api.UpdateHeaders(ctx, "acme", "ep", models.EndpointHeadersIn{Headers: map[string]string{"x-api-key": apiKey}}))
		headers, err = api.GetHeaders(ctx, "acme", "ep")
		check(t, err)
		if len(headers.Headers) != 0 || !slices.Equal(headers.Sensitive, []string{"x-api-key"}) {
			t.Errorf("replaced headers %+v", headers)
		}
		refused(t, api.UpdateHeaders(ctx, "acme", "ep", models.EndpointHeadersIn{Headers: map[string]string{"svix-id": "1"}}), 422, `"loc":["body","headers","svix-id"]`)
		patched, err := api.Patch(ctx, "acme", "ep", models.EndpointPatch{FilterTypes: utils.NewNullableFromPtr[[]string](nil), Disabled: ptr(true)})
		check(t, err)
		if patched.FilterTypes != nil || !*patched.Disabled || !slices.Equal(patched.Channels, []string{"c"}) {
			t.Errorf("patched %+v", patched)
		}
		replaced, err := api.Update(ctx, "acme", "ep", models.EndpointUpdate{Url: "https://example.com/2", Uid: ptr("ep")})
		check(t, err)
		if replaced.Id != made.Id || replaced.Url != "https://example.com/2" || *replaced.Disabled || replaced.Channels != nil || replaced.Version != 1 {
			t.Errorf("replaced %+v", replaced)
		}
		if secret, err = api.GetSecret(ctx, "acme", "ep"); err != nil || secret.Key != knownSecret {
			t.Errorf("the secret was replaced too: %v", err)
		}
		check(t, api.RotateSecret(ctx, "acme", "ep", models.EndpointSecretRotateIn{}, nil))
		if secret, err = api.GetSecret(ctx, "acme", "ep"); err != nil || secret.Key == knownSecret || !strings.HasPrefix(secret.Key, "whsec_") {
			t.Errorf("the secret was not rotated: %v", err)
		}
		check(t, api.Delete(ctx, "acme", "ep"))
		_, err = api.Get(ctx, "acme", made.Id)
		refused(t, err, 404, "Endpoint not found")
	})
}

// inbox is a receiver that keeps what it gets.
type inbox struct {
	server *httptest.Server
	got    chan received
}

type received struct {
	header http.Header
	body   []byte
}

func newInbox(t *testing.T) *inbox {
	box := &inbox{got: make(chan received, 1<<10)}
	box.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		box.got <- received{r.Header, body}
		_, _ = io.WriteString(w, "thank you")
	}))
	t.Cleanup(box.server.Close)
	return box
}

func (box *inbox) next(t *testing.T) received {
	t.Helper()
	select {
	case got := <-box.got:
		return got
	case <-time.After(20 * time.Second):
		t.Fatal("nothing arrived")
		return received{}
	}
}

// overLoopback is a world whose adapter really sends, to this machine alone.
func overLoopback(t *testing.T, st store.Store) *world {
	dialer, err := egress.New(egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	check(t, err)
	adapter, err := httpadapter.New(httpadapter.Options{Dialer: dialer})
	check(t, err)
	t.Cleanup(func() { check(t, adapter.Close()) })
	return newWorld(t, worldOptions{store: st, adapter: adapter})
}

func TestClientSendsToAReceiver(t *testing.T) {
	onEachStore(t, func(t *testing.T, st store.Store) {
		w := overLoopback(t, st)
		api, ctx, box := w.client(token), t.Context(), newInbox(t)
		app, err := api.Application.Create(ctx, models.ApplicationIn{Name: "Acme"}, nil)
		check(t, err)
		ep, err := api.Endpoint.Create(ctx, app.Id, models.EndpointIn{Url: box.server.URL + "/hook"}, nil)
		check(t, err)
		before, err := api.Endpoint.GetSecret(ctx, app.Id, ep.Id)
		check(t, err)

		msg, err := api.Message.Create(ctx, app.Id, models.MessageIn{
			EventType: "invoice.paid", EventId: ptr("invoice-1"), Channels: []string{"eu"}, Payload: map[string]any{"n": 1.5, "text": "é"},
		}, nil)
		check(t, err)
		if !strings.HasPrefix(msg.Id, "msg_") || *msg.EventId != "invoice-1" || msg.EventType != "invoice.paid" || !slices.Equal(msg.Channels, []string{"eu"}) || msg.Payload["n"] != 1.5 {
			t.Errorf("made %+v", msg)
		}
		got := box.next(t)
		if string(got.body) != `{"n":1.5,"text":"é"}` || got.header.Get("webhook-id") != msg.Id {
			t.Errorf("received %s under %q", got.body, got.header)
		}
		verifier, err := svix.NewWebhook(before.Key)
		check(t, err)
		check(t, verifier.Verify(got.body, got.header))
		w.await(1)

		// What is read back.
		read, err := api.Message.Get(ctx, app.Id, "invoice-1", nil)
		check(t, err)
		if !reflect.DeepEqual(read, msg) {
			t.Errorf("read %+v, made %+v", read, msg)
		}
		page, err := api.MessageAttempt.ListByMsg(ctx, app.Id, msg.Id, &svix.MessageAttemptListByMsgOptions{Status: ptr(models.MESSAGESTATUS_SUCCESS)})
		check(t, err)
		if len(page.Data) != 1 || !page.Done {
			t.Fatalf("attempts %+v", page)
		}
		attempt := page.Data[0]
		if attempt.MsgId != msg.Id || attempt.EndpointId != ep.Id || attempt.Url != box.server.URL+"/hook" || attempt.Response != "thank you" ||
			attempt.ResponseStatusCode != 200 || attempt.StatusText != models.MESSAGESTATUSTEXT_SUCCESS || attempt.TriggerType != models.MESSAGEATTEMPTTRIGGERTYPE_SCHEDULED {
			t.Errorf("attempt %+v", attempt)
		}
		one, err := api.MessageAttempt.Get(ctx, app.Id, msg.Id, attempt.Id, nil)
		check(t, err)
		there, err := api.MessageAttempt.ListByEndpoint(ctx, app.Id, ep.Id, &svix.MessageAttemptListByEndpointOptions{WithMsg: ptr(true), StatusCodeClass: ptr(models.STATUSCODECLASS_CODE2XX)})
		check(t, err)
		if !reflect.DeepEqual(*one, attempt) || len(there.Data) != 1 || there.Data[0].Id != attempt.Id || !reflect.DeepEqual(there.Data[0].Msg, msg) {
			t.Errorf("one %+v, at the endpoint %+v", one, there.Data)
		}

		// While a replaced secret signs beside the new one, receivers with either verify.
		check(t, api.Endpoint.RotateSecret(ctx, app.Id, ep.Id, models.EndpointSecretRotateIn{}, nil))
		after, err := api.Endpoint.GetSecret(ctx, app.Id, ep.Id)
		check(t, err)
		_, err = api.Message.Create(ctx, app.Id, models.MessageIn{EventType: "invoice.paid", Payload: map[string]any{"n": 2}}, nil)
		check(t, err)
		got = box.next(t)
		if signatures := strings.Fields(got.header.Get("webhook-signature")); len(signatures) != 2 {
			t.Errorf("signatures %q, want two", signatures)
		}
		for _, key := range []string{before.Key, after.Key} {
			verifier, err := svix.NewWebhook(key)
			check(t, err)
			check(t, verifier.Verify(got.body, got.header))
		}
		check(t, api.Endpoint.RotateSecret(ctx, app.Id, ep.Id, models.EndpointSecretRotateIn{Key: ptr(knownSecret), GracePeriodSeconds: ptr[uint32](0)}, nil))
		_, err = api.Message.Create(ctx, app.Id, models.MessageIn{EventType: "invoice.paid", Payload: map[string]any{"n": 3}}, nil)
		check(t, err)
		got = box.next(t)
		for key, right := range map[string]bool{knownSecret: true, before.Key: true, after.Key: false} {
			verifier, err := svix.NewWebhook(key)
			check(t, err)
			if err := verifier.Verify(got.body, got.header); (err == nil) != right {
				t.Errorf("a key verifies: %v, want %v", err == nil, right)
			}
		}
	})
}

func TestClientRepeatsSafely(t *testing.T) {
	onEachStore(t, func(t *testing.T, st store.Store) {
		w := newWorld(t, worldOptions{store: st})
		api, ctx := w.client(token), t.Context()
		app, err := api.Application.Create(ctx, models.ApplicationIn{Name: "Acme"}, &svix.ApplicationCreateOptions{IdempotencyKey: ptr("app-1")})
		check(t, err)
		again, err := api.Application.Create(ctx, models.ApplicationIn{Name: "Acme"}, &svix.ApplicationCreateOptions{IdempotencyKey: ptr("app-1")})
		check(t, err)
		if !reflect.DeepEqual(app, again) {
			t.Errorf("first %+v, then %+v", app, again)
		}
		in := models.MessageIn{EventType: "a", Payload: map[string]any{"n": 1}}
		once := &svix.MessageCreateOptions{IdempotencyKey: ptr("msg-1")}
		first, err := api.Message.Create(ctx, app.Id, in, once)
		check(t, err)
		second, err := api.Message.Create(ctx, app.Id, in, once)
		check(t, err)
		if !reflect.DeepEqual(first, second) {
			t.Errorf("first %+v, then %+v", first, second)
		}
		in.Payload["n"] = 2
		_, err = api.Message.Create(ctx, app.Id, in, once)
		refused(t, err, 409, `"code":"idempotency_mismatch"`)
		all, err := api.Message.List(ctx, app.Id, nil)
		check(t, err)
		if len(all.Data) != 1 {
			t.Errorf("%d messages, want one", len(all.Data))
		}
		_, err = api.Message.Create(ctx, app.Id, models.MessageIn{EventType: "a", EventId: ptr("e"), Payload: map[string]any{}}, nil)
		check(t, err)
		_, err = api.Message.Create(ctx, app.Id, models.MessageIn{EventType: "a", EventId: ptr("e"), Payload: map[string]any{}}, nil)
		refused(t, err, 409, `"code":"conflict"`)
		_, err = api.Message.Create(ctx, app.Id, models.MessageIn{EventType: "a", Payload: map[string]any{}, DeliverAt: ptr(time.Now().Add(time.Hour))}, nil)
		check(t, err)
		_, err = api.Message.Create(ctx, app.Id, models.MessageIn{EventType: "a", Payload: map[string]any{}, DeliverAt: ptr(time.Now())}, nil)
		refused(t, err, 422, `"loc":["body","deliverAt"]`)
		_, err = api.Message.Create(ctx, app.Id, *svix.NewMessageInRaw("a", "not JSON", nil), nil)
		check(t, err)
		_, err = api.Message.Create(ctx, "nobody", in, nil)
		refused(t, err, 404, "Application not found")
	})
}

// page is what every list of the client returns.
type page struct {
	ids            []string
	next, previous *string
	done           bool
}

func pageOf[T any](data []T, id func(T) string, next, previous *string, done bool) page {
	p := page{next: next, previous: previous, done: done}
	for _, item := range data {
		p.ids = append(p.ids, id(item))
	}
	return p
}

// TestClientWalksPages makes 7 of each and walks their lists by threes, to the end and
// back to the beginning.
func TestClientWalksPages(t *testing.T) {
	onEachStore(t, func(t *testing.T, st store.Store) {
		w := newWorld(t, worldOptions{store: st})
		api, ctx := w.client(token), t.Context()
		const n = 7
		var apps, endpoints, messages []string
		for i := range n {
			app, err := api.Application.Create(ctx, models.ApplicationIn{Name: fmt.Sprint("App ", i)}, nil)
			check(t, err)
			apps = append(apps, app.Id)
		}
		for range n {
			ep, err := api.Endpoint.Create(ctx, apps[0], models.EndpointIn{Url: "https://example.com"}, nil)
			check(t, err)
			endpoints = append(endpoints, ep.Id)
		}
		for i := range n {
			msg, err := api.Message.Create(ctx, apps[0], models.MessageIn{EventType: fmt.Sprint("type.", i%2), Payload: map[string]any{}}, nil)
			check(t, err)
			messages = append(messages, msg.Id)
		}
		w.await(n * n)
		limit := ptr[uint64](3)
		newestFirst := func(ids []string) []string {
			out := slices.Clone(ids)
			slices.Reverse(out)
			return out
		}
		lists := map[string]struct {
			want []string // nil: only the number is known
			get  func(iterator *string) (page, error)
		}{
			"applications": {apps, func(iterator *string) (page, error) {
				out, err := api.Application.List(ctx, &svix.ApplicationListOptions{Limit: limit, Iterator: iterator})
				if err != nil {
					return page{}, err
				}
				return pageOf(out.Data, func(a models.ApplicationOut) string { return a.Id }, out.Iterator, out.PrevIterator, out.Done), nil
			}},
			"applications, descending": {newestFirst(apps), func(iterator *string) (page, error) {
				out, err := api.Application.List(ctx, &svix.ApplicationListOptions{Limit: limit, Iterator: iterator, Order: ptr(models.ORDERING_DESCENDING)})
				if err != nil {
					return page{}, err
				}
				return pageOf(out.Data, func(a models.ApplicationOut) string { return a.Id }, out.Iterator, out.PrevIterator, out.Done), nil
			}},
			"endpoints": {newestFirst(endpoints), func(iterator *string) (page, error) {
				out, err := api.Endpoint.List(ctx, apps[0], &svix.EndpointListOptions{Limit: limit, Iterator: iterator})
				if err != nil {
					return page{}, err
				}
				return pageOf(out.Data, func(ep models.EndpointOut) string { return ep.Id }, out.Iterator, out.PrevIterator, out.Done), nil
			}},
			"endpoints, ascending": {endpoints, func(iterator *string) (page, error) {
				out, err := api.Endpoint.List(ctx, apps[0], &svix.EndpointListOptions{Limit: limit, Iterator: iterator, Order: ptr(models.ORDERING_ASCENDING)})
				if err != nil {
					return page{}, err
				}
				return pageOf(out.Data, func(ep models.EndpointOut) string { return ep.Id }, out.Iterator, out.PrevIterator, out.Done), nil
			}},
			"messages": {newestFirst(messages), func(iterator *string) (page, error) {
				out, err := api.Message.List(ctx, apps[0], &svix.MessageListOptions{Limit: limit, Iterator: iterator, WithContent: ptr(false), After: ptr(time.Now().Add(-time.Hour)), Before: ptr(time.Now().Add(time.Hour))})
				if err != nil {
					return page{}, err
				}
				return pageOf(out.Data, func(m models.MessageOut) string { return m.Id }, out.Iterator, out.PrevIterator, out.Done), nil
			}},
			"attempts of a message": {nil, func(iterator *string) (page, error) {
				out, err := api.MessageAttempt.ListByMsg(ctx, apps[0], messages[0], &svix.MessageAttemptListByMsgOptions{Limit: limit, Iterator: iterator})
				if err != nil {
					return page{}, err
				}
				return pageOf(out.Data, func(a models.MessageAttemptOut) string { return a.Id }, out.Iterator, out.PrevIterator, out.Done), nil
			}},
			"attempts at an endpoint": {nil, func(iterator *string) (page, error) {
				out, err := api.MessageAttempt.ListByEndpoint(ctx, apps[0], endpoints[0], &svix.MessageAttemptListByEndpointOptions{Limit: limit, Iterator: iterator, EventTypes: &[]string{"type.0", "type.1"}})
				if err != nil {
					return page{}, err
				}
				return pageOf(out.Data, func(a models.MessageAttemptOut) string { return a.Id }, out.Iterator, out.PrevIterator, out.Done), nil
			}},
		}
		for name, list := range lists {
			t.Run(name, func(t *testing.T) {
				forward := walk(t, nil, list.get, func(p page) *string { return p.next })
				if len(forward) != 3 || len(slices.Concat(forward...)) != n {
					t.Fatalf("pages %v, want %d items on 3", forward, n)
				}
				if list.want != nil && !slices.Equal(slices.Concat(forward...), list.want) {
					t.Errorf("pages %v, want %v", forward, list.want)
				}
				// Back from behind the first item of the last page.
				start := "-" + forward[2][0]
				backward := walk(t, &start, list.get, func(p page) *string { return p.previous })
				slices.Reverse(backward)
				if !slices.EqualFunc(backward, forward[:2], slices.Equal) {
					t.Errorf("backward %v, forward %v", backward, forward)
				}
				_, err := list.get(ptr("nonsense"))
				refused(t, err, 422, `"loc":["query","iterator"]`)
			})
		}
		t.Run("a page of nothing", func(t *testing.T) {
			out, err := api.Application.List(ctx, &svix.ApplicationListOptions{Limit: ptr[uint64](0)})
			check(t, err)
			if len(out.Data) != 0 || out.Done {
				t.Errorf("%+v", out)
			}
		})
		t.Run("what came after comes oldest first", func(t *testing.T) {
			third, err := api.Message.Get(ctx, apps[0], messages[2], nil)
			check(t, err)
			got := w.must("GET", "/api/v1/app/"+apps[0]+"/msg?limit=2&after="+url.QueryEscape(third.Timestamp.Format(time.RFC3339Nano)), "")
			var ids []string
			data, _ := got["data"].([]any)
			for _, item := range data {
				fields, _ := item.(map[string]any)
				id, _ := fields["id"].(string)
				ids = append(ids, id)
			}
			if want := []string{messages[4], messages[3]}; !slices.Equal(ids, want) || got["done"] != false || got["prevIterator"] != "-"+messages[4] {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	})
}

// walk reads pages until one says that it is the last.
func walk(t *testing.T, start *string, get func(*string) (page, error), step func(page) *string) (pages [][]string) {
	t.Helper()
	for range 20 {
		p, err := get(start)
		check(t, err)
		if len(p.ids) > 0 {
			pages = append(pages, p.ids)
		}
		if p.done {
			return pages
		}
		start = step(p)
	}
	t.Fatal("the list does not end")
	return nil
}

// A client of today sends more than it must; nothing of it may fail.
func TestClientOptionsAreTaken(t *testing.T) {
	w := newWorld(t, worldOptions{})
	settle(w)
	api, ctx := w.client(token), t.Context()
	yes := ptr(true)
	_, err := api.Application.List(ctx, &svix.ApplicationListOptions{ExcludeAppsWithNoEndpoints: yes, ExcludeAppsWithDisabledEndpoints: yes, ExcludeAppsWithSvixPlayEndpoints: yes})
	check(t, err)
	_, err = api.Message.List(ctx, "acme", &svix.MessageListOptions{Tag: ptr("x"), WithContent: yes, Channel: ptr("eu"), EventTypes: &[]string{"a", "b"}})
	check(t, err)
	_, err = api.MessageAttempt.ListByEndpoint(ctx, "acme", "orders", &svix.MessageAttemptListByEndpointOptions{Tag: ptr("x"), WithMsg: yes, ExpandedStatuses: yes})
	check(t, err)
	_, err = api.MessageAttempt.ListByMsg(ctx, "acme", "order-1", &svix.MessageAttemptListByMsgOptions{EndpointId: ptr("orders"), ExpandedStatuses: yes})
	check(t, err)
	_, err = api.Message.Create(ctx, "acme", models.MessageIn{
		EventType: "a", Payload: map[string]any{}, PayloadRetentionPeriod: ptr[int64](90), Tags: []string{},
		TransformationsParams: &map[string]any{"mine": 1}, Application: &models.ApplicationIn{Name: "Acme"},
	}, nil)
	check(t, err)
}

// Many at once with one key get one answer.
func TestRepeatsWhileTheFirstRuns(t *testing.T) {
	onEachStore(t, func(t *testing.T, st store.Store) {
		w := newWorld(t, worldOptions{store: st})
		w.must("POST", "/api/v1/app", `{"name":"Acme","uid":"acme"}`)
		key := map[string]string{"Idempotency-Key": "same"}
		bodies := make(chan string)
		for range 8 {
			go func() { bodies <- w.call("POST", "/api/v1/app/acme/msg", `{"eventType":"a","payload":{}}`, key).body }()
		}
		first := <-bodies
		for range 7 {
			if other := <-bodies; other != first || !strings.Contains(first, `"msg_`) {
				t.Errorf("%s and %s", first, other)
			}
		}
	})
}
