package batch

import (
	"context"
	"encoding/json"
	"time"

	"github.com/neohook/neohook/webhook"
)

// Verification is what an endpoint of a batch answered.
type Verification struct {
	EndpointID   webhook.EndpointID
	EndpointName string
	Result       webhook.Result
}

// Verify asks each endpoint whether it is there and answers, with the adapter's own
// verification event.
func Verify(ctx context.Context, adapter webhook.Adapter, endpoints []webhook.Endpoint, o Options) []Verification {
	verifications := make([]Verification, len(endpoints))
	o.run(len(endpoints), DefaultVerifyLimit, func(index int) webhook.Result {
		endpoint := &endpoints[index]
		result := adapter.Verify(ctx, endpoint, nil)
		verifications[index] = Verification{EndpointID: endpoint.ID, EndpointName: endpoint.Name, Result: result}
		return result
	})
	return verifications
}

// MarshalJSON writes "endpoint_id", "endpoint_name", "success", "response_time_ms" (whole
// milliseconds) and "error", a sentence, or null on success.
func (v Verification) MarshalJSON() ([]byte, error) {
	out := struct {
		EndpointID   webhook.EndpointID `json:"endpoint_id"`
		EndpointName string             `json:"endpoint_name"`
		Success      bool               `json:"success"`
		ResponseTime int64              `json:"response_time_ms"`
		Error        *string            `json:"error"`
	}{
		EndpointID: v.EndpointID, EndpointName: v.EndpointName, Success: v.Result.Success,
		ResponseTime: v.Result.Duration().Round(time.Millisecond).Milliseconds(),
	}
	if message := v.Result.ErrorMessage(); message != "" {
		out.Error = &message
	}
	return json.Marshal(out)
}
