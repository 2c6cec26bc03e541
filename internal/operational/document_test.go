package operational

import (
	"bytes"
	"encoding/json"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/neohook/neohook/internal/ident"
	"github.com/neohook/neohook/store"
)

// sample is what the document tells of.
func sample(t *testing.T, eventType string) []byte {
	t.Helper()
	ids, err := ident.New(bytes.Repeat([]byte{7}, ident.SecretBytes))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 2, 9, 30, 0, 250_000_000, time.UTC)
	a := &store.Announced{
		Announcement: store.Announcement{Type: eventType, About: store.About{Tenant: 1, Endpoint: 2, Event: 3, Attempt: 4}},
		Subject: store.Subject{
			TenantUID: "acme", TenantCreatedAt: at.Add(-48 * time.Hour), EndpointCreatedAt: at.Add(-24 * time.Hour),
			EventUID: "order-1042", EventAcceptedAt: at.Add(-3 * time.Hour), StatusCode: 503, StartedAt: at,
		},
	}
	details := Details{FailSince: at.Add(-60 * time.Hour)}
	if eventType == EndpointFailing {
		details.Percent, details.DisabledAt = 50, at.Add(60*time.Hour)
	}
	if eventType == MessageRefused {
		details = Details{EventType: "order.placed", EventUID: "order-1042", Reason: "uid_taken"}
	}
	if a.Details, err = json.Marshal(details); err != nil {
		t.Fatal(err)
	}
	payload, err := Payload(ids, a)
	if err != nil {
		t.Fatal(err)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, payload, "", "  "); err != nil {
		t.Fatal(err)
	}
	return indented.Bytes()
}

// The document has a section for each type, in their order, with the payload as it is sent.
func TestDocumentShowsEachTypeAsItIsSent(t *testing.T) {
	const path = "../../docs/operational-events.md"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sections := regexp.MustCompile("(?s)\n### `([a-z.]+)`\n(.*?)```json\n(.*?)\n```\n").FindAllSubmatch(text, -1)
	byName := make(map[string][]byte)
	for _, section := range sections {
		byName[string(section[1])] = section[3]
	}
	for _, described := range EventTypes() {
		want := sample(t, described.Name)
		switch got, found := byName[described.Name]; {
		case !found:
			t.Errorf("%s has no section for %s", path, described.Name)
		case !bytes.Equal(got, want):
			t.Errorf("%s shows for %s\n%s\nand sent is\n%s", path, described.Name, got, want)
		}
		delete(byName, described.Name)
	}
	for name := range byName {
		t.Errorf("%s has a section for %s, which is no type", path, name)
	}
}
