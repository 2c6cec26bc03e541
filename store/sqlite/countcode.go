package sqlite

import (
	"encoding/binary"
	"errors"

	"github.com/neohook/neohook/store"
)

// Counts are stored as those numbers that are not 0, each behind a byte that says what
// was counted. The bytes are for ever: a new Count gets one that was not used.
const firstLatencyCode = 64 // leaves room for 64 other counts

func codeOf(what int) byte {
	if what < int(store.LatencyFirst) {
		return byte(what)
	}
	return byte(firstLatencyCode + what - int(store.LatencyFirst)) //nolint:gosec // there are some fifty
}

func countOf(code byte) (what int, known bool) {
	if code < firstLatencyCode {
		return int(code), code < byte(store.LatencyFirst)
	}
	what = int(store.LatencyFirst) + int(code) - firstLatencyCode
	return what, what < store.NumCounts
}

func appendCounts(to []byte, c *store.Counts) []byte {
	some := 0
	for _, n := range c {
		if n != 0 {
			some++
		}
	}
	to = append(to, byte(some)) //nolint:gosec // there are some fifty
	for what, n := range c {
		if n != 0 {
			to = binary.AppendVarint(append(to, codeOf(what)), n)
		}
	}
	return to
}

var errDamaged = errors.New("stored counts are damaged: neohook recount makes them anew")

// addCounts adds what appendCounts has written to c, and returns what is behind it.
func addCounts(from []byte, c *store.Counts) (rest []byte, err error) {
	if len(from) == 0 {
		return nil, errDamaged
	}
	some := from[0]
	from = from[1:]
	for range some {
		if len(from) == 0 {
			return nil, errDamaged
		}
		what, known := countOf(from[0])
		n, length := binary.Varint(from[1:])
		if length <= 0 || !known {
			return nil, errDamaged
		}
		c[what] += n
		from = from[1+length:]
	}
	return from, nil
}

// skipCounts returns what is behind counts.
func skipCounts(from []byte) (rest []byte, err error) {
	if len(from) == 0 {
		return nil, errDamaged
	}
	some := from[0]
	from = from[1:]
	for range some {
		if len(from) == 0 {
			return nil, errDamaged
		}
		_, length := binary.Varint(from[1:])
		if length <= 0 {
			return nil, errDamaged
		}
		from = from[1+length:]
	}
	return from, nil
}

// decodeCounts reads the counts of a row.
func decodeCounts(from []byte) (c store.Counts, err error) {
	rest, err := addCounts(from, &c)
	if err == nil && len(rest) != 0 {
		err = errDamaged
	}
	return c, err
}

// unlessDamaged lets writers go on where counts are damaged: accepting events does not
// hang on statistics. Rollups are left as they are, to tell their readers.
func unlessDamaged(err error) error {
	if errors.Is(err, errDamaged) {
		return nil
	}
	return err
}

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
			return place{}, nil, errDamaged
		}
		numbers[i], from = n, from[length:]
	}
	return place{numbers[0], store.TenantKey(numbers[1]), store.EndpointKey(numbers[2]), numbers[3]}, from, nil
}
