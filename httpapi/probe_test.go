package httpapi_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync"
	"testing"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/egress"
	"github.com/neohook/neohook/signature"
)

func TestProbes(t *testing.T) {
	var mu sync.Mutex
	asked := make(map[string]http.Header)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked[r.Method] = r.Header
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte("no such hook"))
	}))
	defer receiver.Close()
	w := newWorld(t, worldOptions{options: neohook.Options{Egress: egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}}})
	w.must("POST", "/api/v1/app", `{"name":"Acme","uid":"acme"}`)
	w.must("POST", "/api/v1/app/acme/endpoint", `{"uid":"here","url":"`+receiver.URL+`/hook","secret":"`+knownSecret+`","disabled":true}`)
	w.must("POST", "/api/v1/app/acme/endpoint", `{"uid":"inside","url":"http://10.0.0.1/"}`)

	w.play("verify", scenario{method: "POST", path: "/app/acme/endpoint/here/verify", status: 200, not: []string{knownSecret},
		want: []string{`"success":true`, `"statusCode":404`, `"response":"no such hook"`, `"method":"POST"`, `"protocol":"HTTP/1.1"`, `"error":null`, `"connectMs":`}})
	if asked["POST"].Get(signature.HeaderID) == "" || asked["POST"].Get(signature.HeaderSignature) == "" {
		t.Errorf("the test event came with %v", asked["POST"])
	}
	w.play("connectivity", scenario{method: "POST", path: "/app/acme/endpoint/here/test-connectivity", status: 200,
		want: []string{`"success":true`, `"statusCode":404`, `"method":"HEAD"`}})
	if asked["HEAD"] == nil || asked["HEAD"].Get(signature.HeaderID) != "" {
		t.Errorf("the test of the connection came with %v", asked["HEAD"])
	}
	for _, op := range []string{"verify", "test-connectivity"} {
		w.play(op+" where nothing may go", scenario{method: "POST", path: "/app/acme/endpoint/inside/" + op, status: 200,
			want: []string{`"success":false`, `"statusCode":0`, `"code":"blocked_address"`, `"protocol":null`}})
		w.play(op+" of none", scenario{method: "POST", path: "/app/acme/endpoint/none/" + op, status: 404, want: []string{"Endpoint not found"}})
	}
	w.play("attempts are not recorded", scenario{path: "/app/acme/attempt/endpoint/here", status: 200, want: []string{`"data":[]`}})

	var timed struct {
		Timings struct{ ConnectMs, FirstByteMs, TotalMs float64 }
	}
	check(t, json.Unmarshal([]byte(w.call("POST", "/api/v1/app/acme/endpoint/here/verify", "", nil).body), &timed))
	if timed.Timings.TotalMs <= 0 || timed.Timings.TotalMs < timed.Timings.FirstByteMs {
		t.Errorf("timings %+v", timed.Timings)
	}
	w.play("adapter", scenario{path: "/adapter", status: 200, want: []string{`"status":"healthy"`, `"requests":5`, `"max":8192`, `"maxPerHost":null`}})
	w.play("adapter, of another organisation", scenario{path: "/adapter", header: map[string]string{"Authorization": "Bearer " + otherToken}, status: 403})
}

func TestProbesAtOnceAreBounded(t *testing.T) {
	arrived, answer := make(chan struct{}), make(chan struct{})
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		arrived <- struct{}{}
		<-answer
	}))
	defer receiver.Close()
	w := newWorld(t, worldOptions{options: neohook.Options{Egress: egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}}})
	w.must("POST", "/api/v1/app", `{"name":"Acme","uid":"acme"}`)
	w.must("POST", "/api/v1/app/acme/endpoint", `{"uid":"here","url":"`+receiver.URL+`"}`)
	var held sync.WaitGroup
	for range 4 {
		held.Go(func() { w.call("POST", "/api/v1/app/acme/endpoint/here/verify", "", nil) })
		<-arrived
	}
	w.play("a fifth", scenario{method: "POST", path: "/app/acme/endpoint/here/test-connectivity", status: 429, want: []string{`"too_many_probes"`}, answers: map[string]string{"Retry-After": "1"}})
	close(answer)
	held.Wait()
	go func() { <-arrived }()
	w.play("when they are over", scenario{method: "POST", path: "/app/acme/endpoint/here/verify", status: 200})
}

func TestConditionOfAnEndpoint(t *testing.T) {
	w := newWorld(t, worldOptions{})
	settle(w)
	path := "/app/acme/endpoint/"
	w.play("works", scenario{path: path + "orders/condition", status: 200, want: []string{`"breaker":"closed","nextProbeAt":null,"failuresInARow":0`, `"failingSince":null`, `"room":10`}})
	w.play("fails", scenario{path: path + "down/condition", status: 200, want: []string{`"breaker":"closed"`, `"failuresInARow":1`, `"recent":{"attempts":1,"failed":1}`, `"failingSince":"20`}})
	for range 19 {
		w.must("POST", "/api/v1/app/acme/msg", `{"eventType":"invoice.paid","channels":["eu"],"payload":{}}`)
		w.await(2)
	}
	w.play("open", scenario{path: path + "down/condition", status: 200, want: []string{`"breaker":"open","nextProbeAt":"20`, `"failuresInARow":20`}})
	w.play("of none", scenario{path: path + "none/condition", status: 404})
}
