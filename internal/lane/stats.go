package lane

// Stats are the present sizes of a Board.
type Stats struct {
	Lanes      int   // endpoints with something to send, or to remember
	Rows       int   // deliveries in memory
	Bytes      int64 // of their payloads
	InFlight   int
	Unsteady   int // of them, at endpoints that are slow or not known to answer soon
	Crowded    int // endpoints that wait for a place among those
	Unrecorded int // deliveries between their start and the recording of their outcome
}

// Stats returns the present sizes.
func (b *Board) Stats() Stats {
	return Stats{
		Lanes: len(b.lanes), Rows: b.rows, Bytes: b.bytes,
		InFlight: b.flying, Unsteady: b.crowd.flying, Crowded: b.crowd.waiting.len(), Unrecorded: b.unrecorded,
	}
}
