package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// scrape returns the metrics at a URL, by name and labels as they are written.
func scrape(t *testing.T, url, token string) map[string]float64 {
	t.Helper()
	status, text := fetch(t, http.MethodGet, url, token)
	if status != http.StatusOK {
		t.Fatalf("%s: %d %s", url, status, text)
	}
	values := make(map[string]float64)
	for line := range strings.Lines(text) {
		name, value, found := strings.Cut(strings.TrimSpace(line), "} ")
		if found {
			name += "}"
		} else {
			name, value, _ = strings.Cut(strings.TrimSpace(line), " ")
		}
		if n, err := strconv.ParseFloat(value, 64); err == nil && !strings.HasPrefix(line, "#") {
			values[name] = n
		}
	}
	return values
}

func fetch(t *testing.T, method, url, token string) (status int, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// What the server tells while some endpoints work, some fail, some throttle, some hang.
func TestMetricsTellWhatIsQueuedParkedAndFailing(t *testing.T) {
	release := make(chan struct{})
	receiver := newSink(t, nil)
	receiver.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/bad":
			w.WriteHeader(http.StatusInternalServerError)
		case "/busy":
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusTooManyRequests)
		case "/hang":
			<-release
		}
	})
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()
	server := startProcess(t, t.TempDir(), "--retry-schedule", "1h", "--endpoint-concurrency", "2", "--max-in-flight", "10", "--metrics-listen", "127.0.0.1:0")
	defer close(release)
	server.must(t, http.StatusCreated, "POST", "/app", `{"name": "Acme", "uid": "acme"}`, nil)
	for _, name := range []string{"good", "bad", "busy", "hang", "away"} {
		url := receiver.URL + "/" + name
		if name == "away" {
			url = "http://" + nobody.Addr().String()
		}
		server.must(t, http.StatusCreated, "POST", "/event-type", fmt.Sprintf(`{"name": %q, "description": ""}`, name), nil)
		server.must(t, http.StatusCreated, "POST", "/app/acme/endpoint", fmt.Sprintf(`{"url": %q, "filterTypes": [%q]}`, url, name), nil)
	}
	for name, events := range map[string]int{"good": 5, "bad": 40, "busy": 7, "hang": 6, "away": 1, "nobody.listens": 1} {
		for range events {
			server.must(t, http.StatusAccepted, "POST", "/app/acme/msg", fmt.Sprintf(`{"eventType": %q, "payload": {"a": 1}}`, name), nil)
		}
	}

	found := regexp.MustCompile(`"msg":"serving beside the API","what":"metrics","url":"([^"]+)"`).FindStringSubmatch(server.log.String())
	if found == nil {
		t.Fatalf("no line tells where metrics are served:\n%s", server.log)
	}
	wants := map[string]float64{
		"neohook_events_accepted_total":                                        60,
		"neohook_deliveries_created_total":                                     59,
		`neohook_attempts_total{code="",outcome="success"}`:                    5,
		`neohook_attempts_total{code="refused",outcome="failure"}`:             1,
		`neohook_deliveries_ended_total{reason="",state="succeeded"}`:          5,
		`neohook_due_deliveries{waits_for="endpoint"}`:                         4,
		`neohook_due_endpoints{waits_for="breaker"}`:                           1,
		`neohook_due_endpoints{waits_for="receiver"}`:                          1,
		`neohook_due_deliveries{waits_for="turn"}`:                             0,
		"neohook_attempts_in_flight":                                           2,
		"neohook_attempts_in_flight_limit":                                     10,
		"neohook_attempts_slow_limit":                                          7,
		"neohook_publish_queued_events":                                        0,
		"neohook_publish_waiting_bytes_limit":                                  64 << 20,
		"neohook_commit_events_sum":                                            60,
		"neohook_attempt_duration_seconds_count + parked and in flight":        59,
		"neohook_lag_seconds":                                                  0,
		"neohook_build_info of some version":                                   1,
		`neohook_adapter_health{status="healthy"}`:                             1,
		`neohook_due_age_seconds{waits_for="endpoint"} is more than a moment`:  1,
		`neohook_events_refused_total{reason="unknown_tenant"} from the start`: 0,
	}
	guard := time.Now().Add(30 * time.Second)
	for {
		got := scrape(t, found[1]+"/metrics", "")
		got["neohook_attempt_duration_seconds_count + parked and in flight"] = got["neohook_attempt_duration_seconds_count"] + got["neohook_attempts_in_flight"] +
			got[`neohook_due_deliveries{waits_for="endpoint"}`] + got[`neohook_due_deliveries{waits_for="breaker"}`] + got[`neohook_due_deliveries{waits_for="receiver"}`]
		if got[`neohook_due_age_seconds{waits_for="endpoint"}`] > .01 {
			got[`neohook_due_age_seconds{waits_for="endpoint"} is more than a moment`] = 1
		}
		for name, value := range got { // how it is stamped depends on where it was built
			if strings.HasPrefix(name, "neohook_build_info{version=") {
				got["neohook_build_info of some version"] = value
			}
		}
		if value, there := got[`neohook_events_refused_total{reason="unknown_tenant"}`]; there {
			got[`neohook_events_refused_total{reason="unknown_tenant"} from the start`] = value
		}
		var wrong []string
		for name, want := range wants {
			if value, there := got[name]; !there || value != want {
				wrong = append(wrong, fmt.Sprintf("%s is %v (%v), want %v", name, value, there, want))
			}
		}
		if len(wrong) == 0 {
			break
		}
		if time.Now().After(guard) {
			t.Fatal(strings.Join(wrong, "\n"))
		}
	}

	if got := scrape(t, server.url+"/metrics", server.token)["neohook_events_accepted_total"]; got != 60 {
		t.Errorf("with the token the API tells %v accepted events, want 60", got)
	}
	for _, try := range []struct {
		method, token string
		want          int
	}{{"GET", "", 401}, {"GET", "wrong", 401}, {"POST", server.token, 405}} {
		if status, text := fetch(t, try.method, server.url+"/metrics", try.token); status != try.want || strings.Contains(text, "neohook_") {
			t.Errorf("%s with the token %q: %d %s, want %d", try.method, try.token, status, text, try.want)
		}
	}
}
