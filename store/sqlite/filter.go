package sqlite

import "encoding/binary"

// filter says of a hash that a run may have it, or that it certainly has not: a Bloom
// filter in blocks of a cache line. With 24 bits for each hash it is wrong about one in
// ten thousand. It relies on hashes being even.
type filter []byte

const (
	filterLine  = 64 // bytes
	filterProbe = 7  // bits set for each hash, of the 512 of a line
)

func newFilter(count int) filter {
	lines := max(1, count*3/filterLine)
	return make(filter, lines*filterLine)
}

// line returns the part of the filter that a hash is in, and the source of its bits. The
// first byte is not used: a run is divided by it.
func (f filter) line(hash *[16]byte) ([]byte, uint64) {
	lines := uint64(len(f) / filterLine)                                          //nolint:gosec // a length
	at := uint64(binary.LittleEndian.Uint32(hash[4:])) * lines >> 32 * filterLine // an even share of the lines
	return f[at : at+filterLine], binary.LittleEndian.Uint64(hash[8:])
}

func (f filter) add(hash *[16]byte) {
	line, source := f.line(hash)
	for range filterProbe {
		line[source>>3&63] |= 1 << (source & 7)
		source >>= 9
	}
}

func (f filter) mayHave(hash *[16]byte) bool {
	if len(f) < filterLine {
		return true
	}
	line, source := f.line(hash)
	for range filterProbe {
		if line[source>>3&63]&(1<<(source&7)) == 0 {
			return false
		}
		source >>= 9
	}
	return true
}
