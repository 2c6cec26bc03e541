package webhook

import "time"

// Standing is where a delivery stands.
type Standing struct {
	ID       DeliveryID
	Event    EventID
	Endpoint EndpointID
	State    State
	// Reason is why it is Parked or was Cancelled.
	Reason Reason
	// Tried is the number of scheduled attempts recorded.
	Tried int
	// AcceptedAt is when its event was.
	AcceptedAt time.Time
	// SendingSince is when the attempt in flight began, of one that is Sending.
	SendingSince time.Time
	// DueAt is before when it is not sent, of one that is Waiting or Parked. Once that has
	// passed it waits for its turn. It is zero where it is Parked until somebody resumes it.
	DueAt time.Time
	// EndedAt is when it Succeeded, was Exhausted or Cancelled.
	EndedAt time.Time
	// RecoveredAt is when a manual send of the event succeeded first, of one that was
	// Exhausted or Cancelled before; zero is never.
	RecoveredAt time.Time
	// Attempts is what was tried, oldest first and without the answers' bodies, at most
	// the first 250. Lists leave it out.
	Attempts []Attempt
}
