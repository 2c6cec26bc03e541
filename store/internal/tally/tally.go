// Package tally is how stores write down what was counted: short, and readable for ever.
package tally

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

// Append writes counts behind to.
func Append(to []byte, c *store.Counts) []byte {
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

// ErrDamaged says that stored counts can't be read.
var ErrDamaged = errors.New("stored counts are damaged: neohook recount makes them anew")

// Add adds what Append has written to c, and returns what is behind it; or ErrDamaged,
// and then c may have been added to.
func Add(from []byte, c *store.Counts) (rest []byte, err error) {
	if len(from) == 0 {
		return nil, ErrDamaged
	}
	some := from[0]
	from = from[1:]
	for range some {
		if len(from) == 0 {
			return nil, ErrDamaged
		}
		what, known := countOf(from[0])
		n, length := binary.Varint(from[1:])
		if length <= 0 || !known {
			return nil, ErrDamaged
		}
		c[what] += n
		from = from[1+length:]
	}
	return from, nil
}

// Skip returns what is behind counts that Append has written.
func Skip(from []byte) (rest []byte, err error) {
	if len(from) == 0 {
		return nil, ErrDamaged
	}
	some := from[0]
	from = from[1:]
	for range some {
		if len(from) == 0 {
			return nil, ErrDamaged
		}
		_, length := binary.Varint(from[1:])
		if length <= 0 {
			return nil, ErrDamaged
		}
		from = from[1+length:]
	}
	return from, nil
}

// Decode reads what Append has written, alone.
func Decode(from []byte) (c store.Counts, err error) {
	rest, err := Add(from, &c)
	if err == nil && len(rest) != 0 {
		err = ErrDamaged
	}
	return c, err
}

// UnlessDamaged lets writers go on where counts are damaged: accepting events does not
// hang on statistics. Rollups are left as they are, to tell their readers.
func UnlessDamaged(err error) error {
	if errors.Is(err, ErrDamaged) {
		return nil
	}
	return err
}
