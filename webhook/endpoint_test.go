package webhook_test

import (
	"slices"
	"testing"
	"time"

	"github.com/neohook/neohook/webhook"
)

func TestEndpointHears(t *testing.T) {
	tests := map[string]struct {
		endpoint webhook.Endpoint
		channels []string
		want     bool
	}{
		"everything":                             {webhook.Endpoint{}, nil, true},
		"everything, also of channels":           {webhook.Endpoint{}, []string{"a"}, true},
		"its type":                               {webhook.Endpoint{EventTypes: []string{"x", "invoice.paid"}}, nil, true},
		"another type":                           {webhook.Endpoint{EventTypes: []string{"invoice"}}, nil, false},
		"its channel":                            {webhook.Endpoint{Channels: []string{"a", "b"}}, []string{"c", "b"}, true},
		"another channel":                        {webhook.Endpoint{Channels: []string{"a"}}, []string{"b"}, false},
		"channels, but the event has none":       {webhook.Endpoint{Channels: []string{"a"}}, nil, false},
		"its type and another channel":           {webhook.Endpoint{EventTypes: []string{"invoice.paid"}, Channels: []string{"a"}}, []string{"b"}, false},
		"disabled, although all would be for it": {webhook.Endpoint{Disabled: true}, nil, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := test.endpoint.Hears("invoice.paid", test.channels); got != test.want {
				t.Errorf("Hears = %v, want %v", got, test.want)
			}
		})
	}
}

func TestSigningSecretsAreTheCurrentOneThenThoseNotExpired(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	endpoint := webhook.Endpoint{Secret: "current", RetiringSecrets: []webhook.RetiringSecret{
		{Secret: "later", Expires: now.Add(time.Hour)},
		{Secret: "expired", Expires: now},
		{Secret: "sooner", Expires: now.Add(time.Minute)},
	}}
	if got, want := endpoint.SigningSecrets(now), []webhook.Secret{"current", "sooner", "later"}; !slices.Equal(got, want) {
		t.Errorf("SigningSecrets = %q, want %q", []string{string(got[0])}, want)
	}
	if got := (&webhook.Endpoint{}).SigningSecrets(now); got != nil {
		t.Errorf("an endpoint without a secret signs with %d", len(got))
	}
}

func TestShownURLHasNoPassword(t *testing.T) {
	for url, want := range map[string]string{
		"https://example.com/hook?key=1":         "https://example.com/hook?key=1",
		"https://user:hunter2@example.com/hook":  "https://user:xxxxx@example.com/hook",
		"https://user@example.com":               "https://user@example.com",
		"https://exa mple.com:hunter2@x/":        "",
		"https://user:hunter2@example.com/%zz%%": "",
		"":                                       "",
	} {
		if got := (&webhook.Endpoint{URL: url}).ShownURL(); got != want {
			t.Errorf("%q is shown as %q, want %q", url, got, want)
		}
	}
}
