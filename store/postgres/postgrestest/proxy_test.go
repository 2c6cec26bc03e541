package postgrestest

import (
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

func TestRoundTripsAreCountedHoweverTheyComeInPieces(t *testing.T) {
	var said []byte
	for _, message := range []pgproto3.FrontendMessage{
		&pgproto3.StartupMessage{ProtocolVersion: pgproto3.ProtocolVersionNumber, Parameters: map[string]string{"user": "QSQS"}},
		&pgproto3.Query{String: "SELECT 1"},
		&pgproto3.Parse{Name: "a", Query: "SELECT S"}, &pgproto3.Describe{ObjectType: 'S', Name: "a"}, &pgproto3.Sync{},
		&pgproto3.Bind{PreparedStatement: "a", Parameters: [][]byte{[]byte("QQQQQ")}}, &pgproto3.Execute{},
		&pgproto3.Bind{PreparedStatement: "a", Parameters: [][]byte{make([]byte, 10_000)}}, &pgproto3.Execute{}, &pgproto3.Sync{},
		&pgproto3.Terminate{},
	} {
		var err error
		if said, err = message.Encode(said); err != nil {
			t.Fatal(err)
		}
	}
	for size := 1; size <= len(said); size = size*3/2 + 1 {
		var trips atomic.Int64
		client := asked{trips: &trips}
		for rest := said; len(rest) > 0; {
			piece := rest[:min(size, len(rest))]
			rest = rest[len(piece):]
			if n, err := client.Write(piece); n != len(piece) || err != nil {
				t.Fatalf("Write: %d, %v", n, err)
			}
		}
		if trips.Load() != 3 {
			t.Errorf("in pieces of %d bytes there are %d round trips, want 3", size, trips.Load())
		}
	}
}
