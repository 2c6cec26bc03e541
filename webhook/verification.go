package webhook

import (
	"encoding/json"
	"time"
)

// VerificationType is the event type of a verification event.
const VerificationType = "verification.test"

// VerificationPayload is the payload of the event that the adapters of this module verify
// with unless they are given another: VerificationType, the present time to the second, and
// {"test": true}.
func VerificationPayload(now time.Time) []byte {
	type data struct {
		Test bool `json:"test"`
	}
	payload, _ := json.Marshal(struct { // of these types it can't fail
		EventType string    `json:"event_type"`
		Timestamp time.Time `json:"timestamp"`
		Data      data      `json:"data"`
	}{VerificationType, now.UTC().Truncate(time.Second), data{true}})
	return payload
}
