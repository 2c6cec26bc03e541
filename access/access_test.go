package access_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/webhook"
)

func TestTextHasItsForm(t *testing.T) {
	form := regexp.MustCompile(`^nhk_[0-9A-Za-z]{49}$`) // as the documentation says
	seen := make(map[access.Text]bool)
	for range 1000 {
		text := access.NewText()
		if !form.MatchString(string(text)) || access.IsMistyped(string(text)) || seen[text] {
			t.Fatalf("%q: mistyped %v, seen before %v", string(text), access.IsMistyped(string(text)), seen[text])
		}
		seen[text] = true
	}
}

func TestMistypedTextIsKnown(t *testing.T) {
	text := string(access.NewText())
	for at := len(access.TextPrefix); at < len(text); at++ {
		for _, char := range "0aZ-_ \x00é" {
			wrong := text[:at] + string(char) + text[at+1:]
			if wrong != text && !access.IsMistyped(wrong) {
				t.Errorf("%q passes for %q", wrong, text)
			}
		}
		if at+1 < len(text) && text[at] != text[at+1] {
			swapped := text[:at] + text[at+1:at+2] + text[at:at+1] + text[at+2:]
			if !access.IsMistyped(swapped) {
				t.Errorf("%q passes for %q", swapped, text)
			}
		}
		if !access.IsMistyped(text[:at]) {
			t.Errorf("%q passes", text[:at])
		}
	}
	for _, other := range []string{"", "nhk", "nh_x", "eyJhbGciOiJIUzI1NiJ9.e30.x", "NHK_" + text[4:]} {
		if access.IsMistyped(other) {
			t.Errorf("%q is taken for one of ours", other)
		}
	}
}

func TestTextHidesItself(t *testing.T) {
	text := access.NewText()
	encoded, err := json.Marshal(map[string]any{"token": text})
	if err != nil {
		t.Fatal(err)
	}
	var logged strings.Builder
	slog.New(slog.NewTextHandler(&logged, nil)).Info("made", "token", text)
	for _, shown := range []string{fmt.Sprint(text), fmt.Sprintf("%v %+v %#v %s %q", text, text, text, text, text), string(encoded), logged.String()} {
		if strings.Contains(shown, string(text[4:20])) {
			t.Errorf("%s shows it", shown)
		}
	}
}

func TestRightsAreWhatScopesAndCapabilitiesGive(t *testing.T) {
	tests := map[string]struct {
		token access.Token
		want  string
	}{
		"admin":                               {access.Token{Scopes: []access.Scope{access.Admin}}, "view view_secret view_headers manage_secret manage_endpoint create_attempts publish administer"},
		"publish":                             {access.Token{Scopes: []access.Scope{access.Publisher}}, "publish"},
		"read":                                {access.Token{Scopes: []access.Scope{access.Reader}}, "view"},
		"two":                                 {access.Token{Scopes: []access.Scope{access.Reader, access.Publisher}}, "view publish"},
		"none":                                {access.Token{}, ""},
		"capabilities of what is no portal's": {access.Token{Capabilities: access.Capabilities()}, ""},
		"scopes of a portal's":                {access.Token{Portal: true, Scopes: access.Scopes(), ReadOnly: true}, "view"},

		"portal":            {access.Token{Portal: true}, "view view_secret view_headers manage_secret manage_endpoint create_attempts"},
		"read-only portal":  {access.Token{Portal: true, ReadOnly: true}, "view"},
		"view base":         {portal(false, access.CanViewBase), "view"},
		"view secret":       {portal(false, access.CanViewBase, access.CanViewEndpointSecret), "view view_secret"},
		"manage secret":     {portal(false, access.CanViewBase, access.CanManageEndpointSecret), "view view_secret manage_secret"},
		"attempts":          {portal(false, access.CanViewBase, access.CanCreateAttempts), "view create_attempts"},
		"manage endpoint":   {portal(false, access.CanViewBase, access.CanManageEndpoint), "view view_secret view_headers manage_secret manage_endpoint"},
		"transformations":   {portal(false, access.CanViewBase, access.CanManageTransformations), "view"},
		"read-only secret":  {portal(true, access.CanViewBase, access.CanViewEndpointSecret), "view view_secret"},
		"read-only manager": {portal(true, access.CanViewBase, access.CanManageEndpoint), "view view_secret view_headers"},
		"read-only all":     {portal(true, access.Capabilities()...), "view view_secret view_headers"},
	}
	for name, test := range tests {
		rights := test.token.Rights()
		if got := rights.String(); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
		if !rights.Has(access.Nothing) || rights.Has(0) || rights.Has(200) {
			t.Errorf("%s: has nothing %v, the zero right %v, an unknown one %v", name, rights.Has(access.Nothing), rights.Has(0), rights.Has(200))
		}
	}
}

func portal(readOnly bool, capabilities ...access.Capability) access.Token {
	return access.Token{Portal: true, ReadOnly: readOnly, Capabilities: capabilities}
}

func TestTokenSaysWhatIsWrongWithIt(t *testing.T) {
	good := map[string]access.Token{
		"admin":    {Name: "é", Scopes: []access.Scope{access.Admin}},
		"confined": {Tenant: "acme", Scopes: []access.Scope{access.Publisher, access.Reader}, FeatureFlags: []string{"a.b"}},
		"portal":   {Tenant: "acme", Portal: true, ReadOnly: true, Session: "a session", FeatureFlags: []string{"x"}},
		"capable":  {Tenant: "acme", Portal: true, Capabilities: access.Capabilities()},
	}
	for name, token := range good {
		if err := token.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	tests := map[string]struct {
		token  access.Token
		fields []string
	}{
		"nothing":               {access.Token{}, []string{"scopes"}},
		"unknown scope":         {access.Token{Scopes: []access.Scope{access.Reader, "root"}}, []string{"scopes[1]"}},
		"name of two lines":     {access.Token{Name: "a\nb", Scopes: []access.Scope{access.Admin}}, []string{"name"}},
		"long name":             {access.Token{Name: strings.Repeat("é", 257), Scopes: []access.Scope{access.Admin}}, []string{"name"}},
		"the folder's name":     {access.Token{Name: access.DataFolder, Scopes: []access.Scope{access.Admin}}, []string{"name"}},
		"flags for all":         {access.Token{Scopes: []access.Scope{access.Reader}, FeatureFlags: []string{"a"}}, []string{"featureFlags"}},
		"flags that are none":   {access.Token{Tenant: "a", Portal: true, FeatureFlags: []string{"a", "b c", ""}}, []string{"featureFlags[1]", "featureFlags[2]"}},
		"too many flags":        {access.Token{Tenant: "a", Portal: true, FeatureFlags: slices.Repeat([]string{"a"}, 101)}, []string{"featureFlags"}},
		"portal of nobody":      {access.Token{Portal: true}, []string{"tenant"}},
		"portal with scopes":    {access.Token{Tenant: "a", Portal: true, Scopes: []access.Scope{access.Admin}}, []string{"scopes"}},
		"unknown capability":    {access.Token{Tenant: "a", Portal: true, Capabilities: []access.Capability{"ViewBase", "viewbase"}}, []string{"capabilities[1]"}},
		"without ViewBase":      {portalOf("a", access.CanManageEndpoint), []string{"capabilities"}},
		"long session":          {access.Token{Tenant: "a", Portal: true, Session: strings.Repeat("x", 257)}, []string{"sessionId"}},
		"read-only, no portal":  {access.Token{Scopes: []access.Scope{access.Admin}, ReadOnly: true}, []string{"portal"}},
		"capable, no portal":    {access.Token{Scopes: []access.Scope{access.Admin}, Capabilities: access.Capabilities()}, []string{"portal"}},
		"in session, no portal": {access.Token{Scopes: []access.Scope{access.Admin}, Session: "s"}, []string{"portal"}},
	}
	for name, test := range tests {
		var invalid *webhook.InvalidError
		if !errors.As(test.token.Validate(), &invalid) {
			t.Errorf("%s is taken for valid", name)
			continue
		}
		var got []string
		for _, field := range invalid.Fields {
			got = append(got, field.Field)
		}
		if !slices.Equal(got, test.fields) {
			t.Errorf("%s: %v, want faults at %v", name, invalid, test.fields)
		}
	}
}

func portalOf(tenant webhook.TenantID, capabilities ...access.Capability) access.Token {
	t := portal(false, capabilities...)
	t.Tenant = tenant
	return t
}
