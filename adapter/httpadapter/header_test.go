package httpadapter_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/neohook/neohook/adapter/httpadapter"
	"github.com/neohook/neohook/signature"
	"github.com/neohook/neohook/webhook"
)

var instant = time.Unix(1_700_000_000, 0)

func TestHeaderBuilderWritesWhatEachSettingSays(t *testing.T) {
	d := delivery(`{"a":1}`)
	d.Attempt = 2
	base := []string{"User-Agent", "Accept", "Accept-Encoding", "Content-Type", "Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"}
	svix := []string{"Svix-Id", "Svix-Timestamp", "Svix-Signature"}
	tests := map[string]struct {
		builder *httpadapter.HeaderBuilder
		change  func(*webhook.Endpoint)
		names   []string
		values  map[string]string
	}{
		"as it is": {&httpadapter.HeaderBuilder{}, nil, base, map[string]string{
			"Webhook-Id": string(d.Event), "Webhook-Timestamp": "1700000000", "Content-Type": "application/json",
			"Accept": "*/*", "Accept-Encoding": "gzip",
		}},
		"with svix names": {&httpadapter.HeaderBuilder{SvixHeaders: true}, nil, slices.Concat(base, svix), map[string]string{
			"Svix-Id": string(d.Event), "Svix-Timestamp": "1700000000",
		}},
		"with information": {
			&httpadapter.HeaderBuilder{InfoHeaders: true}, nil,
			append(slices.Clone(base), "Webhook-Event-Type", "Webhook-Delivery-Id", "Webhook-Attempt"),
			map[string]string{"Webhook-Event-Type": "invoice.paid", "Webhook-Delivery-Id": string(d.ID), "Webhook-Attempt": "2"},
		},
		"uncompressed, as somebody else": {
			&httpadapter.HeaderBuilder{NoCompression: true, UserAgent: "Acme/1"}, nil, base,
			map[string]string{"Accept-Encoding": "identity", "User-Agent": "Acme/1"},
		},
		"without a secret": {
			&httpadapter.HeaderBuilder{SvixHeaders: true}, func(ep *webhook.Endpoint) { ep.Secret = "" },
			[]string{"User-Agent", "Accept", "Accept-Encoding", "Content-Type", "Webhook-Id", "Webhook-Timestamp", "Svix-Id", "Svix-Timestamp"}, nil,
		},
		"custom ones keep their spelling": {
			&httpadapter.HeaderBuilder{}, func(ep *webhook.Endpoint) {
				ep.Headers = map[string]string{"X-API-Key": "k", "accept": "text/plain", "ACCEPT-ENCODING": "br"}
			},
			[]string{"User-Agent", "accept", "ACCEPT-ENCODING", "Content-Type", "Webhook-Id", "Webhook-Timestamp", "Webhook-Signature", "X-API-Key"},
			map[string]string{"X-API-Key": "k", "accept": "text/plain", "ACCEPT-ENCODING": "br"},
		},
		"user and password": {
			&httpadapter.HeaderBuilder{}, func(ep *webhook.Endpoint) { ep.URL = "https://user:pass%20word@example.com/" },
			append(slices.Clone(base), "Authorization"), map[string]string{"Authorization": "Basic dXNlcjpwYXNzIHdvcmQ="},
		},
		"an Authorization wins over them": {
			&httpadapter.HeaderBuilder{}, func(ep *webhook.Endpoint) {
				ep.URL, ep.Headers = "https://user:pass@example.com/", map[string]string{"authorization": "Bearer x"}
			},
			append(slices.Clone(base), "authorization"), map[string]string{"authorization": "Bearer x"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ep := endpointAt("https://example.com/")
			if test.change != nil {
				test.change(ep)
			}
			header, err := test.builder.Build(d, ep, instant)
			if err != nil {
				t.Fatal(err)
			}
			if names := slices.Sorted(maps.Keys(header)); !slices.Equal(names, slices.Sorted(slices.Values(test.names))) {
				t.Errorf("names = %v, want %v", names, test.names)
			}
			for name, want := range test.values {
				if got := header[name]; len(got) != 1 || got[0] != want {
					t.Errorf("%s = %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestHeaderBuilderSignsWithAllKeysThatAreDue(t *testing.T) {
	current, old, gone := signature.Generate(), signature.GenerateEd25519(), signature.Generate()
	ep := endpointAt("https://example.com/")
	ep.Secret = current
	ep.RetiringSecrets = []webhook.RetiringSecret{{Secret: gone, Expires: instant.Add(-time.Second)}, {Secret: old, Expires: instant.Add(time.Hour)}}
	d := delivery("{}")
	header, err := (&httpadapter.HeaderBuilder{}).Build(d, ep, instant)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(strings.Fields(header.Get("Webhook-Signature"))); n != 2 {
		t.Errorf("%d signatures, want 2", n)
	}
	for secret, want := range map[webhook.Secret]bool{current: true, old: true, gone: false} {
		verifier, err := signature.NewVerifier(secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := verifier.Verify(header, d.Payload, instant); (err == nil) != want {
			t.Errorf("a receiver with one of the keys: %v, want %v", err, want)
		}
	}
}

func TestHeaderBuilderRefusesWhatWouldBreakTheMessage(t *testing.T) {
	bad := map[string]func(*webhook.Delivery, *webhook.Endpoint){
		"a line in a value": func(_ *webhook.Delivery, ep *webhook.Endpoint) { ep.Headers = map[string]string{"X-A": "a\r\nX-B: b"} },
		"NUL in a value":    func(_ *webhook.Delivery, ep *webhook.Endpoint) { ep.Headers = map[string]string{"X-A": "a\x00"} },
		"a line in a name":  func(_ *webhook.Delivery, ep *webhook.Endpoint) { ep.Headers = map[string]string{"X-A: b\r\nX-B": "b"} },
		"no name":           func(_ *webhook.Delivery, ep *webhook.Endpoint) { ep.Headers = map[string]string{"": "b"} },
		"a signature": func(_ *webhook.Delivery, ep *webhook.Endpoint) {
			ep.Headers = map[string]string{"Webhook-Signature": "v1,x"}
		},
		"a length":             func(_ *webhook.Delivery, ep *webhook.Endpoint) { ep.Headers = map[string]string{"content-length": "0"} },
		"another host":         func(_ *webhook.Delivery, ep *webhook.Endpoint) { ep.Headers = map[string]string{"HOST": "x"} },
		"a line in the id":     func(d *webhook.Delivery, _ *webhook.Endpoint) { d.Event = "msg_1\r\nX-B: b" },
		"no id":                func(d *webhook.Delivery, _ *webhook.Endpoint) { d.Event, d.ID = "", "" },
		"a line in the type":   func(d *webhook.Delivery, _ *webhook.Endpoint) { d.EventType = "a\nb" },
		"a secret that's none": func(_ *webhook.Delivery, ep *webhook.Endpoint) { ep.Secret = "whsec_!" },
		"an old one": func(_ *webhook.Delivery, ep *webhook.Endpoint) {
			ep.RetiringSecrets = []webhook.RetiringSecret{{Secret: "whsk_!", Expires: time.Now().Add(time.Hour)}}
		},
		"no URL": func(_ *webhook.Delivery, ep *webhook.Endpoint) { ep.URL = "" },
	}
	builder := &httpadapter.HeaderBuilder{InfoHeaders: true}
	for name, spoil := range bad {
		d, ep := delivery("{}"), endpointAt("http://127.0.0.1:1/")
		spoil(d, ep)
		header, err := builder.Build(d, ep, instant)
		if err == nil || header != nil {
			t.Errorf("%s: %v", name, header)
		} else if strings.Contains(err.Error(), "whs") && strings.Contains(err.Error(), "!") && !strings.Contains(err.Error(), "base64") {
			t.Errorf("%s: the error shows a secret: %v", name, err)
		}
		a := open(t, httpadapter.Options{InfoHeaders: true})
		if result := a.Deliver(t.Context(), d, ep); result.Fault == nil || result.Fault.Code != webhook.FaultInvalidRequest {
			t.Errorf("%s: delivered: %+v", name, result.Fault)
		}
	}
	if _, err := builder.Build(nil, nil, instant); err == nil {
		t.Error("nothing was accepted")
	}
}

// FuzzHeaderBuilder: whatever an endpoint holds, the header is refused or is one that a
// server reads as it was meant.
func FuzzHeaderBuilder(f *testing.F) {
	f.Add("X-A", "b", "msg_1", "https://example.com/")
	f.Add("X-A\r\n", "b\r\nc", "msg\n", "https://u:p@example.com/")
	f.Add("Webhook-Id", "\x00", "", "http://[::1]:80/?a=b c")
	f.Add("ſvix-a", "\xff", "é", "http://example.com/\x7f")
	builder := &httpadapter.HeaderBuilder{SvixHeaders: true, InfoHeaders: true}
	f.Fuzz(func(t *testing.T, name, value, id, url string) {
		d, ep := delivery("{}"), endpointAt(url)
		d.Event, d.EventType = webhook.EventID(id), value
		ep.Headers = map[string]string{name: value}
		header, err := builder.Build(d, ep, instant)
		if err != nil {
			return
		}
		for name, values := range header {
			for _, value := range values {
				if strings.ContainsAny(name+value, "\r\n\x00") {
					t.Fatalf("%q: %q", name, value)
				}
			}
		}
		if got := header["Webhook-Id"]; len(got) != 1 || got[0] != id && id != "" {
			t.Fatalf("Webhook-Id = %q", got)
		}
	})
}

func TestRetryAfterIsReadAsSecondsOrDate(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	tests := map[string]struct {
		in   string
		want time.Duration
	}{
		"absent":               {"", 0},
		"seconds":              {"120", 2 * time.Minute},
		"with space":           {" 120\t", 2 * time.Minute},
		"zero":                 {"0", 0},
		"a fraction":           {"1.2", 2 * time.Second},
		"a fraction of zeros":  {"1.000", time.Second},
		"a point and no digit": {"1.", 0},
		"only a fraction":      {".5", 0},
		"negative":             {"-5", 0},
		"signed":               {"+5", 0},
		"hexadecimal":          {"0x10", 0},
		"more than fits":       {"99999999999999999999999", 9223372036 * time.Second},
		"a date":               {"Fri, 02 Jan 2026 03:01:00 GMT", time.Minute},
		"an old form":          {"Friday, 02-Jan-26 03:01:00 GMT", time.Minute},
		"a date that passed":   {"Fri, 02 Jan 2026 02:00:00 GMT", 0},
		"not a value":          {"soon", 0},
		"two values":           {"5, 6", 0},
	}
	for name, test := range tests {
		if got := httpadapter.RetryAfter(http.Header{"Retry-After": {test.in}}, now); got != test.want {
			t.Errorf("%s: RetryAfter(%q) = %v, want %v", name, test.in, got, test.want)
		}
	}
	if got := httpadapter.RetryAfter(nil, now); got != 0 {
		t.Errorf("without a header: %v", got)
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"", "120", "1.5", "-1", "99999999999999999999", "Fri, 02 Jan 2026 03:00:00 GMT", "soon", "1.1.1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if got := httpadapter.RetryAfter(http.Header{"Retry-After": {value}}, instant); got < 0 {
			t.Fatalf("RetryAfter(%q) = %v", value, got)
		}
	})
}

func TestResultsTellRetryAfter(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	a := open(t, httpadapter.Options{})
	if result := a.Deliver(t.Context(), delivery("{}"), endpointAt(server.URL)); result.RetryAfter != 7*time.Second || result.Success {
		t.Errorf("%+v", result)
	}
}
