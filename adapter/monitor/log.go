package monitor

import (
	"context"
	"log/slog"
	"net/url"
	"time"

	"github.com/neohook/neohook/webhook"
)

// record logs what came of a delivery.
func (a *Adapter) record(ctx context.Context, delivery *webhook.Delivery, endpoint *webhook.Endpoint, result *webhook.Result) {
	if !a.log.Enabled(ctx, slog.LevelWarn) {
		return
	}
	about := about(delivery, endpoint)
	took := slog.Int64("response_time_ms", result.Duration().Round(time.Millisecond).Milliseconds())
	all := append(about[:len(about):len(about)],
		slog.Bool("success", result.Success), took, slog.Bool("connection_reused", result.ConnectionReused))
	if !result.Success {
		all = append(all, slog.String("error_type", errorType(result)))
		if result.Fault != nil {
			all = append(all, slog.String("error_code", string(result.Fault.Code)))
		}
	}
	a.log.InfoContext(ctx, "webhook delivery completed", all...)
	if result.ConnectionReused {
		a.log.DebugContext(ctx, "connection reused", about...)
	}
	if result.Duration() > SlowResponse {
		a.log.WarnContext(ctx, "slow response", append(about[:len(about):len(about)], took)...)
	}
}

// errorType is the "error" of a result's JSON.
func errorType(result *webhook.Result) string {
	if result.Fault != nil {
		return string(result.Fault.Kind)
	}
	return string(webhook.FaultAnswered)
}

// about says which delivery a record is of.
func about(delivery *webhook.Delivery, endpoint *webhook.Endpoint) []any {
	var id, at string
	if delivery != nil {
		id = string(delivery.ID)
	}
	if endpoint != nil {
		at = plainURL(endpoint.URL)
	}
	return []any{slog.String("delivery_id", id), slog.String("endpoint_url", at)}
}

// plainURL drops what may hold a secret: user, query and fragment. What can't be read is
// dropped whole.
func plainURL(text string) string {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Opaque != "" {
		return ""
	}
	plain := url.URL{Scheme: parsed.Scheme, Host: parsed.Host, Path: parsed.Path, RawPath: parsed.RawPath}
	return plain.String()
}
