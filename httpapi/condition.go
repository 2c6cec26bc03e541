package httpapi

import (
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/access"
)

func conditionOperations() []*operation {
	return []*operation{
		serves(operation{
			name: "endpoint.condition", route: "GET /app/{app_id}/endpoint/{endpoint_id}/condition",
			scope: application, needs: access.View,
			summary: "Get how an endpoint is doing: its breaker, its failures, what is in flight",
			about:   "It is what the server has in memory at this moment. After a while without attempts it is forgotten, unless something is amiss.",
		}, getCondition),
	}
}

// conditionOut is how an endpoint is doing.
type conditionOut struct {
	Breaker      neohook.BreakerState `json:"breaker" is:"enum=closed|open|probing" doc:"What is let through: everything, nothing until nextProbeAt, or one attempt, which is in flight."`
	NextProbeAt  *instant             `json:"nextProbeAt" doc:"When an open breaker lets the next attempt through."`
	Failures     int                  `json:"failuresInARow" doc:"Attempts that failed since the last success."`
	Recent       recentOut            `json:"recent" doc:"The latest attempts, 64 at most."`
	QuietUntil   *instant             `json:"quietUntil" doc:"Until when the receiver asked to be left alone."`
	InFlight     int                  `json:"inFlight" doc:"Attempts that are being made."`
	Room         int                  `json:"room" doc:"How many may be made at once: the concurrency, or fewer since the endpoint timed out or asked for less."`
	FailingSince *instant             `json:"failingSince" doc:"When the first failure since the last success ended. After five days of that, unless the server says otherwise, the endpoint is disabled."`
}

type recentOut struct {
	Attempts int `json:"attempts" doc:"How many there are."`
	Failed   int `json:"failed" doc:"How many of them failed."`
}

func getCondition(c *call, _, _ *none) (out conditionOut, _ error) {
	is, err := c.org.Condition(c.ctx(), c.tenant(), c.endpoint())
	if err != nil {
		return out, c.missing(err, "Endpoint")
	}
	return conditionOut{
		Breaker: is.Breaker, NextProbeAt: unlessNever(is.NextProbe), Failures: is.Failures,
		Recent: recentOut{is.Attempts, is.Failed}, QuietUntil: unlessNever(is.QuietUntil),
		InFlight: is.InFlight, Room: is.Room, FailingSince: unlessNever(is.FailingSince),
	}, nil
}

// unlessNever is null on the wire where the domain has the zero time.
func unlessNever(at time.Time) *instant {
	if at.IsZero() {
		return nil
	}
	shown := instant(at)
	return &shown
}
