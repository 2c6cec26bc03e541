package sqlite

import (
	"encoding/binary"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/internal/tally"
)

// appendPlace writes the place of an entry. Behind it come its counts.
func appendPlace(to []byte, at place) []byte {
	to = binary.AppendVarint(to, at.start)
	to = binary.AppendVarint(to, int64(at.tenant))
	to = binary.AppendVarint(to, int64(at.endpoint))
	return binary.AppendVarint(to, at.typ)
}

// nextPlace reads what appendPlace has written, and returns what is behind it.
func nextPlace(from []byte) (at place, rest []byte, err error) {
	var numbers [4]int64
	for i := range numbers {
		n, length := binary.Varint(from)
		if length <= 0 {
			return place{}, nil, tally.ErrDamaged
		}
		numbers[i], from = n, from[length:]
	}
	return place{numbers[0], store.TenantKey(numbers[1]), store.EndpointKey(numbers[2]), numbers[3]}, from, nil
}
