package webhook_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/neohook/neohook/webhook"
)

// faults returns the fields an error complains of, and checks that each message says
// something.
func faults(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	var invalid *webhook.InvalidError
	if !errors.As(err, &invalid) {
		t.Fatalf("err = %v (%T), want *InvalidError", err, err)
	}
	var fields []string
	for _, field := range invalid.Fields {
		if field.Message == "" {
			t.Errorf("%s: no message", field.Field)
		}
		fields = append(fields, field.Field)
	}
	return fields
}

func TestTenantValidate(t *testing.T) {
	tests := map[string]struct {
		change func(*webhook.Tenant)
		want   []string
	}{
		"as it is":            {func(*webhook.Tenant) {}, nil},
		"no name":             {func(t *webhook.Tenant) { t.Name = "" }, []string{"name"}},
		"name with a 0x08":    {func(t *webhook.Tenant) { t.Name = "a\x08" }, []string{"name"}},
		"name with a tab":     {func(t *webhook.Tenant) { t.Name = "a\tb\nc" }, nil},
		"name not UTF-8":      {func(t *webhook.Tenant) { t.Name = "\xff" }, []string{"name"}},
		"longest uid":         {func(t *webhook.Tenant) { t.UID = strings.Repeat("u", 256) }, nil},
		"uid too long":        {func(t *webhook.Tenant) { t.UID = strings.Repeat("u", 257) }, []string{"uid"}},
		"uid like an id":      {func(t *webhook.Tenant) { t.UID = "app_1" }, []string{"uid"}},
		"uid like another id": {func(t *webhook.Tenant) { t.UID = "ep_1" }, nil},
		"uid with a space":    {func(t *webhook.Tenant) { t.UID = "a b" }, []string{"uid"}},
		"uid with an umlaut":  {func(t *webhook.Tenant) { t.UID = "ä" }, []string{"uid"}},
		"rate below":          {func(t *webhook.Tenant) { t.RateLimit = -1 }, []string{"throttleRate"}},
		"rate most":           {func(t *webhook.Tenant) { t.RateLimit = 65535 }, nil},
		"rate above":          {func(t *webhook.Tenant) { t.RateLimit = 65536 }, []string{"throttleRate"}},
		"metadata of 4,096 bytes": {func(t *webhook.Tenant) {
			t.Metadata = map[string]string{"k": strings.Repeat("<", 4096-len(`{"k":""}`))}
		}, nil},
		"metadata of 4,097 bytes": {func(t *webhook.Tenant) {
			t.Metadata = map[string]string{"k": strings.Repeat("<", 4097-len(`{"k":""}`))}
		}, []string{"metadata"}},
		"all at once": {func(t *webhook.Tenant) { *t = webhook.Tenant{UID: "-+", RateLimit: 1 << 20} }, []string{"name", "uid", "throttleRate"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			tenant := webhook.Tenant{Name: "Acme", UID: "acme-1_2.3", RateLimit: 10, Metadata: map[string]string{"a": "b"}}
			test.change(&tenant)
			if got := faults(t, tenant.Validate()); !slices.Equal(got, test.want) {
				t.Errorf("faults %q, want %q", got, test.want)
			}
		})
	}
}

func TestEndpointValidate(t *testing.T) {
	type change = func(*webhook.Endpoint)
	url := func(text string) change { return func(ep *webhook.Endpoint) { ep.URL = text } }
	header := func(name, value string) change {
		return func(ep *webhook.Endpoint) { ep.Headers = map[string]string{name: value} }
	}
	many := func(n int) []string { return strings.Split(strings.Repeat("c,", n-1)+"c", ",") }

	tests := map[string]struct {
		change change
		want   []string
	}{
		"as it is": {func(*webhook.Endpoint) {}, nil},

		"url with all":             {url("HTTPS://User:Pass@Example.COM:8443/p%20q?a=b&c"), nil},
		"url of a v6 address":      {url("http://[2001:db8::1]:80/"), nil},
		"url empty":                {url(""), []string{"url"}},
		"url relative":             {url("/hook"), []string{"url"}},
		"url without a scheme":     {url("example.com/hook"), []string{"url"}},
		"url without a host":       {url("http:///hook"), []string{"url"}},
		"url with a port alone":    {url("http://:80/hook"), []string{"url"}},
		"url opaque":               {url("http:example.com"), []string{"url"}},
		"url of ftp":               {url("ftp://example.com"), []string{"url"}},
		"url with a fragment":      {url("http://example.com/#top"), []string{"url"}},
		"url with an empty one":    {url("http://example.com/#"), []string{"url"}},
		"url with port 0":          {url("http://example.com:0"), []string{"url"}},
		"url with port 65536":      {url("http://example.com:65536"), []string{"url"}},
		"url with a line break":    {url("http://example.com/\r\nX: y"), []string{"url"}},
		"url with a space in host": {url("http://exa mple.com/"), []string{"url"}},
		"url too long":             {url("http://example.com/" + strings.Repeat("p", 8192)), []string{"url"}},

		"concurrency below":   {func(ep *webhook.Endpoint) { ep.Concurrency = -1 }, []string{"concurrency"}},
		"concurrency most":    {func(ep *webhook.Endpoint) { ep.Concurrency = 1000 }, nil},
		"concurrency above":   {func(ep *webhook.Endpoint) { ep.Concurrency = 1001 }, []string{"concurrency"}},
		"ordered, ten slots":  {func(ep *webhook.Endpoint) { ep.Ordered, ep.Concurrency = true, 10 }, nil},
		"schedule of nothing": {func(ep *webhook.Endpoint) { ep.Schedule = webhook.Schedule{} }, nil},
		"longest schedule": {func(ep *webhook.Endpoint) {
			ep.Schedule = webhook.Backoff{MaxAttempts: 21, Cap: 7 * 24 * time.Hour}.Schedule()
		}, nil},
		"schedule too long": {func(ep *webhook.Endpoint) { ep.Schedule = make(webhook.Schedule, 21) }, []string{"schedule"}},
		"schedule with waits too long and too short": {func(ep *webhook.Endpoint) {
			ep.Schedule = webhook.Schedule{0, 7*24*time.Hour + 1, -1}
		}, []string{"schedule[1]", "schedule[2]"}},
		"final statuses": {func(ep *webhook.Endpoint) { ep.FinalStatuses = []int{300, 404, 599} }, nil},
		"final statuses that can't be": {func(ep *webhook.Endpoint) {
			ep.FinalStatuses = []int{400, 200, 600, 0}
		}, []string{"finalStatuses[1]", "finalStatuses[2]", "finalStatuses[3]"}},
		"too many of them": {func(ep *webhook.Endpoint) { ep.FinalStatuses = make([]int, 101) }, []string{"finalStatuses"}},

		"uid like an id":         {func(ep *webhook.Endpoint) { ep.UID = "ep_x" }, []string{"uid"}},
		"createdBy with a NUL":   {func(ep *webhook.Endpoint) { ep.CreatedBy = "usr_\x00" }, []string{"createdBy"}},
		"metadata with a NUL":    {func(ep *webhook.Endpoint) { ep.Metadata = map[string]string{"a": "\x00", "b": "\xff", "c": "\x01"} }, []string{"metadata.a", "metadata.b"}},
		"a NUL as its name":      {func(ep *webhook.Endpoint) { ep.Metadata = map[string]string{"\x00": "", "\xff": ""} }, []string{"metadata", "metadata"}},
		"description with a NUL": {func(ep *webhook.Endpoint) { ep.Description = "\x00" }, []string{"description"}},
		"method of its own":      {func(ep *webhook.Endpoint) { ep.Method = "REPORT" }, nil},
		"method with a space":    {func(ep *webhook.Endpoint) { ep.Method = "POST /x" }, []string{"method"}},
		"method too long":        {func(ep *webhook.Endpoint) { ep.Method = strings.Repeat("P", 33) }, []string{"method"}},
		"protocol unknown":       {func(ep *webhook.Endpoint) { ep.Protocol = "spdy" }, []string{"protocol"}},
		"protocol h2":            {func(ep *webhook.Endpoint) { ep.Protocol = webhook.HTTP2 }, nil},
		"timeout least":          {func(ep *webhook.Endpoint) { ep.Timeout = time.Second }, nil},
		"timeout most":           {func(ep *webhook.Endpoint) { ep.Timeout = 300 * time.Second }, nil},
		"timeout below":          {func(ep *webhook.Endpoint) { ep.Timeout = time.Second - 1 }, []string{"timeout"}},
		"timeout above":          {func(ep *webhook.Endpoint) { ep.Timeout = 300*time.Second + 1 }, []string{"timeout"}},
		"timeout negative":       {func(ep *webhook.Endpoint) { ep.Timeout = -1 }, []string{"timeout"}},
		"event types":            {func(ep *webhook.Endpoint) { ep.EventTypes = []string{"a.b", "", "c d"} }, []string{"eventTypes[1]", "eventTypes[2]"}},
		"1,000 event types":      {func(ep *webhook.Endpoint) { ep.EventTypes = many(1000) }, nil},
		"1,001 event types":      {func(ep *webhook.Endpoint) { ep.EventTypes = many(1001) }, []string{"eventTypes"}},
		"10 channels":            {func(ep *webhook.Endpoint) { ep.Channels = many(10) }, nil},
		"11 channels":            {func(ep *webhook.Endpoint) { ep.Channels = many(11) }, []string{"channels"}},
		"a channel with a slash": {func(ep *webhook.Endpoint) { ep.Channels = []string{"a/b"} }, []string{"channels[0]"}},
		"rate above":             {func(ep *webhook.Endpoint) { ep.RateLimit = 65536 }, []string{"throttleRate"}},
		"version negative":       {func(ep *webhook.Endpoint) { ep.Version = -1 }, []string{"version"}},
		"no secret":              {func(ep *webhook.Endpoint) { ep.Secret = "" }, nil},
		"raw secret":             {func(ep *webhook.Endpoint) { ep.Secret = "webhook-hmac-secret" }, nil},
		"short secret":           {func(ep *webhook.Endpoint) { ep.Secret = "whsec_c2VzYW1l" }, []string{"secret"}},
		"public secret":          {func(ep *webhook.Endpoint) { ep.Secret = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=" }, []string{"secret"}},
		"bad retiring secret":    {func(ep *webhook.Endpoint) { ep.RetiringSecrets = []webhook.RetiringSecret{{Secret: "sesame"}, {}} }, []string{"retiringSecrets[1]"}},
		"too many retiring": {func(ep *webhook.Endpoint) {
			ep.RetiringSecrets = slices.Repeat([]webhook.RetiringSecret{{Secret: "s"}}, 11)
		}, []string{"retiringSecrets"}},
		"header":                  {header("X-Api-Key", "sesame\tü"), nil},
		"header, longest value":   {header("X-Api-Key", strings.Repeat("v", 4096)), nil},
		"header, value too long":  {header("X-Api-Key", strings.Repeat("v", 4097)), []string{"headers.X-Api-Key"}},
		"header, line break":      {header("X-Api-Key", "sesame\r\nX-Evil: 1"), []string{"headers.X-Api-Key"}},
		"header, NUL":             {header("X-Api-Key", "\x00"), []string{"headers.X-Api-Key"}},
		"header, name with colon": {header("X:", ""), []string{"headers.X:"}},
		"header, name with break": {header("X\n", ""), []string{"headers.X\n"}},
		"header, no name":         {header("", ""), []string{"headers."}},
		"header, endless name":    {header(strings.Repeat("X", 4<<10)+" ", ""), []string{"headers." + strings.Repeat("X", 64)}},
		"header, reserved":        {header("Content-Length", "0"), []string{"headers.Content-Length"}},
		"header, host":            {header("HOST", "x"), []string{"headers.HOST"}},
		"header, signature":       {header("Webhook-Signature", "x"), []string{"headers.Webhook-Signature"}},
		"header, svix":            {header("SVIX-ID", "x"), []string{"headers.SVIX-ID"}},
		"header, cloud":           {header("x-amz-date", "x"), []string{"headers.x-amz-date"}},
		"header, authorization":   {header("Authorization", "Bearer x"), nil},
		"headers in two cases":    {func(ep *webhook.Endpoint) { ep.Headers = map[string]string{"X-A": "1", "x-a": "2"} }, []string{"headers.x-a"}},
		"headers, too much": {func(ep *webhook.Endpoint) {
			ep.Headers = make(map[string]string)
			for i := range 9 {
				ep.Headers[fmt.Sprint("X-", i)] = strings.Repeat("v", 4096)
			}
		}, []string{"headers"}},
		"all at once": {func(ep *webhook.Endpoint) {
			*ep = webhook.Endpoint{UID: "?", Name: "\x01", Method: " ", Secret: "whsec_", Timeout: 1, RateLimit: -1, Version: -1}
		}, []string{"uid", "name", "url", "method", "secret", "timeout", "throttleRate", "version"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ep := webhook.Endpoint{
				URL: "https://user:sesame@example.com/hook?token=sesame", Secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
				Headers: map[string]string{"X-Key": "sesame"},
			}
			test.change(&ep)
			err := ep.Validate()
			if got := faults(t, err); !slices.Equal(got, test.want) {
				t.Errorf("faults %q, want %q", got, test.want)
			}
			if err != nil && (strings.Contains(err.Error(), "sesame") || strings.Contains(err.Error(), "c2VzYW1l")) {
				t.Errorf("the error shows what it should not: %v", err)
			}
		})
	}
}

func TestEventValidate(t *testing.T) {
	tests := map[string]struct {
		change func(*webhook.Event)
		want   []string
	}{
		"as it is":       {func(*webhook.Event) {}, nil},
		"no tenant":      {func(ev *webhook.Event) { ev.Tenant = "" }, []string{"tenant"}},
		"no type":        {func(ev *webhook.Event) { ev.Type = "" }, []string{"type"}},
		"type too long":  {func(ev *webhook.Event) { ev.Type = strings.Repeat("t", 257) }, []string{"type"}},
		"uid like an id": {func(ev *webhook.Event) { ev.UID = "msg_1" }, []string{"uid"}},
		"5 channels":     {func(ev *webhook.Event) { ev.Channels = []string{"a", "b", "c", "d", "e"} }, nil},
		"6 channels":     {func(ev *webhook.Event) { ev.Channels = []string{"a", "b", "c", "d", "e", "f"} }, []string{"channels"}},
		"empty channel":  {func(ev *webhook.Event) { ev.Channels = []string{"a", ""} }, []string{"channels[1]"}},
		"all at once":    {func(ev *webhook.Event) { *ev = webhook.Event{UID: " "} }, []string{"tenant", "uid", "type"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			event := webhook.Event{Tenant: "acme", UID: "order-1", Type: "invoice.paid", Channels: []string{"eu"}}
			test.change(&event)
			if got := faults(t, event.Validate()); !slices.Equal(got, test.want) {
				t.Errorf("faults %q, want %q", got, test.want)
			}
		})
	}
}

func FuzzEndpointValidate(f *testing.F) {
	f.Add("https://example.com", "X-Key", "value", "POST", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	f.Add("http://[::1]:99999/#", "\r\n", "\x00", "", "whsk_")
	f.Fuzz(func(t *testing.T, url, name, value, method, secret string) {
		ep := webhook.Endpoint{URL: url, Headers: map[string]string{name: value}, Method: method, Secret: webhook.Secret(secret)}
		err := ep.Validate()
		if err == nil && strings.ContainsAny(url+name+method, "\r\n\x00") {
			t.Fatalf("taken: %q %q %q", url, name, method)
		}
		if err == nil && strings.ContainsAny(value, "\r\n\x00") {
			t.Fatalf("taken: value %q", value)
		}
	})
}
