package lane

// Limits bound a Board. All are at least 1.
type Limits struct {
	// Attempts is the most attempts in flight altogether.
	Attempts int
	// Unrecorded is the most deliveries between their start and the recording of their
	// outcome: nothing is sent whose outcome might find no place.
	Unrecorded int
	// Rows is the most deliveries held, Bytes the most of their payloads. A page that was
	// asked for while there was room may exceed them a little when it arrives.
	Rows  int
	Bytes int64
	// Page is the most deliveries asked of the store at a time.
	Page int
}

// A lane may hold a quarter of what is free (the dynamic threshold of Choudhury and
// Hahne, IEEE/ACM Transactions on Networking 6(2), 1998): one busy lane gets a fifth of
// all room, a hundred of them get under one percent each and leave some for the next.
const shareOfFree = 4

// While an endpoint has fresh and retried deliveries to send, one turn in so many is
// for a retried one. While it has deliveries and sends, one turn in so many is for a send;
// and an endpoint that has nothing but sends takes one turn in so many of its own, as long
// as others have something.
const (
	retryTurn = 4
	sendTurn  = 8
)
