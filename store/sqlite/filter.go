package sqlite

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// filter says of a hash that a run may have it, or that it certainly has not: a Bloom
// filter in lines, of which each hash uses one. With 24 bits for each entry it is wrong
// about one hash in ten thousand. It relies on hashes being even. It is stored, so its
// shape is part of the schema.
type filter []byte

const (
	filterLine  = 64 // bytes: what a processor reads at once
	filterLines = defaultLedgerSize * 3 / filterLine
	filterBits  = 7 // set for each hash, of the 512 of a line
)

func newFilter() filter { return make(filter, filterLines*filterLine) }

// everything is a filter that has been lost: its run may have any hash.
func everything() filter { return bytes.Repeat([]byte{0xff}, filterLines*filterLine) }

func (f filter) line(at int) []byte { return f[at*filterLine : (at+1)*filterLine] }

func (f filter) add(hash *[16]byte) {
	line, source := f.line(lineOf(hash)), sourceOf(hash)
	for range filterBits {
		line[source>>3&63] |= 1 << (source & 7)
		source >>= 9
	}
}

// lineOf and sourceOf give the line that a hash uses and what its bits are taken from.
// The first byte serves neither: a run is divided by it.
func lineOf(hash *[16]byte) int {
	return int(uint64(binary.LittleEndian.Uint32(hash[4:])) * filterLines >> 32)
}

func sourceOf(hash *[16]byte) uint64 { return binary.LittleEndian.Uint64(hash[8:]) }

// filters are those of several runs, numbered from 0. What a look-up reads of each stands
// in one row: with hundreds of runs it is the way to the memory that takes the time.
type filters struct {
	count int
	rows  [filterLines][]byte // a row has a line of each filter
}

// add puts a filter behind the others.
func (fs *filters) add(f filter) {
	if len(f) != filterLines*filterLine {
		f = everything()
	}
	for at := range fs.rows {
		fs.rows[at] = append(fs.rows[at], f.line(at)...)
	}
	fs.count++
}

// remove takes a filter out; those behind it move up.
func (fs *filters) remove(number int) {
	for at := range fs.rows {
		fs.rows[at] = slices.Delete(fs.rows[at], number*filterLine, (number+1)*filterLine)
	}
	fs.count--
}

// next returns the first filter, from a number on, whose run may have the hash; -1 is none.
func (fs *filters) next(hash *[16]byte, from int) int {
	row, source := fs.rows[lineOf(hash)], sourceOf(hash)
	for number := from; number < fs.count; number++ {
		if mayHave(row[number*filterLine:(number+1)*filterLine], source) {
			return number
		}
	}
	return -1
}

func mayHave(line []byte, source uint64) bool {
	for range filterBits {
		if line[source>>3&63]&(1<<(source&7)) == 0 {
			return false
		}
		source >>= 9
	}
	return true
}
