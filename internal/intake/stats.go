package intake

import "time"

// Stats are the present sizes of a Queue.
type Stats struct {
	Events  int           // that have a place and wait for the committer
	Bytes   int64         // of the events that have a place, those being committed included
	Outside StageStats    // publishers that wait for a place
	Tenants int           // that have any
	Limits  Limits        // of the Queue
	Delay   time.Duration // how long the latest to end its waiting had waited
}

// StageStats are the sizes of what waits outside.
type StageStats struct {
	Events int
	Bytes  int64
}

// Stats returns the present sizes.
func (q *Queue) Stats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	return Stats{
		Events: q.stages[inside].count, Bytes: q.stages[inside].bytes,
		Outside: StageStats{q.stages[outside].count, q.stages[outside].bytes},
		Tenants: len(q.lines), Limits: q.limits, Delay: q.delay,
	}
}
