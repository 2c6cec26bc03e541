package httpapi_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/neohook/neohook/store/memstore"
)

// following is a stream that is being read.
type following struct {
	*testing.T
	lines *bufio.Scanner
	end   context.CancelFunc
}

func (w *world) follow(t *testing.T, query, after string) *following {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	t.Cleanup(end)
	req, err := http.NewRequestWithContext(ctx, "GET", w.server.URL+"/api/v1/app/acme/delivery/stream"+query, nil)
	check(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	if after != "" {
		req.Header.Set("Last-Event-ID", after)
	}
	resp, err := w.server.Client().Do(req)
	check(t, err)
	t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	f := &following{t, bufio.NewScanner(resp.Body), end}
	if first := f.line(); first != "retry: 1000" {
		t.Fatalf("it begins with %q", first)
	}
	return f
}

// line returns the next line that is not empty; "" is the end.
func (f *following) line() string {
	for f.lines.Scan() {
		if text := f.lines.Text(); text != "" {
			return text
		}
	}
	return ""
}

// next returns the next event, its id and its data.
func (f *following) next() (id, data string) {
	f.Helper()
	id, event := f.line(), f.line()
	data, isData := strings.CutPrefix(f.line(), "data: ")
	if !strings.HasPrefix(id, "id: ") || event != "event: delivery" || !isData {
		f.Fatalf("%q %q %q", id, event, data)
	}
	return strings.TrimPrefix(id, "id: "), data
}

func TestStream(t *testing.T) {
	w := newWorld(t, worldOptions{})
	ids := settle(w)
	all, down := w.follow(t, "", ""), w.follow(t, "?endpoint_id=down", "")
	send := func() string {
		t.Helper()
		return w.id("POST", "/api/v1/app/acme/msg", `{"eventType":"invoice.paid","channels":["eu"],"payload":{}}`)
	}
	msg := send()
	seen := make(map[string]string)
	var last string
	for range 2 {
		id, data := all.next()
		var out struct{ EndpointID, MsgID, State, NextAttempt string }
		check(t, json.Unmarshal([]byte(data), &out))
		if err := documentOf(t, w.api).fits(data, "components", "schemas", "ProgressOut"); err != nil {
			t.Errorf("%s does not fit the document: %v", data, err)
		}
		if out.MsgID != msg {
			t.Errorf("%s is not of %s", data, msg)
		}
		seen[out.EndpointID], last = out.State, id
	}
	if seen[ids["ep"]] != "succeeded" || seen[ids["down"]] != "waiting" {
		t.Errorf("seen %v", seen)
	}
	if _, data := down.next(); !strings.Contains(data, ids["down"]) || !strings.Contains(data, `"responseStatusCode":500`) {
		t.Errorf("narrowed to one endpoint: %s", data)
	}
	all.end()
	msg = send()
	w.await(4)
	again := w.follow(t, "", last)
	for range 2 {
		if _, data := again.next(); !strings.Contains(data, msg) {
			t.Errorf("behind %s: %s, want what came since, of %s", last, data, msg)
		}
	}
	lost := w.follow(t, "", "before-1")
	if first := lost.line(); first != "event: missed" {
		t.Errorf("behind what is not known: %q, want that it has missed some", first)
	}
	w.api.EndStreams()
	for text := lost.line(); text != ""; text = lost.line() {
		if text != "data: {}" && !strings.HasPrefix(text, "id: ") && !strings.HasPrefix(text, "event: ") && !strings.HasPrefix(text, "data: {") {
			t.Errorf("line %q", text)
		}
	}
}

func TestStreamIsRefused(t *testing.T) {
	w := newWorld(t, worldOptions{})
	settle(w)
	const path = "/app/acme/delivery/stream"
	w.play("header", scenario{method: "HEAD", path: path, status: 200, answers: map[string]string{"Content-Type": "text/event-stream", "Cache-Control": "no-store"}})
	w.play("of none", scenario{path: "/app/none/delivery/stream", status: 404})
	w.play("of another organisation's", scenario{path: "/app/foreign/delivery/stream", status: 404})
	w.play("of no endpoint", scenario{path: path + "?endpoint_id=none", status: 404})
	w.play("of another application's endpoint", scenario{path: path + "?endpoint_id=theirs", status: 404})
	w.play("of a bad endpoint", scenario{path: path + "?endpoint_id=a%20b", status: 422})
	for range 8 {
		w.follow(t, "", "")
	}
	w.play("a ninth", scenario{path: path, status: 429, want: []string{`"too_many_streams"`}})
}

func TestStreamEndsWithItsToken(t *testing.T) {
	st := memstore.New()
	w := newWorld(t, worldOptions{store: st})
	w.api.SetHeartbeat(20 * time.Millisecond)
	settle(w)
	f := w.follow(t, "", "")
	if beat := f.line(); beat != ":" {
		t.Errorf("%q, want a comment", beat)
	}
	found, err := st.Token(t.Context(), sha256.Sum256([]byte(token)), time.Now())
	check(t, err)
	check(t, st.DeleteToken(t.Context(), found.Organisation, found.Key, time.Now()))
	for text := f.line(); text != ""; text = f.line() {
		if text != ":" {
			t.Fatalf("line %q", text)
		}
	}
}
