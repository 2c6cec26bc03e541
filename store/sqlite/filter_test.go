package sqlite

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"
)

func hashOf(number uint64) *[16]byte {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, number))
	return (*[16]byte)(sum[:16])
}

// fill returns filters of so many runs; run n has the hashes n·perRun to (n+1)·perRun.
func fill(runs, perRun int) *filters {
	fs := new(filters)
	for run := range runs {
		f := newFilter()
		for i := range perRun {
			f.add(hashOf(uint64(run*perRun + i)))
		}
		fs.add(f)
	}
	return fs
}

func TestFilterMissesNothingAndIsSeldomWrong(t *testing.T) {
	const runs = 4
	fs := fill(runs, defaultLedgerSize)
	for i := range uint64(runs * defaultLedgerSize) {
		of := int(i / defaultLedgerSize)
		found := fs.next(hashOf(i), 0)
		for found >= 0 && found < of {
			found = fs.next(hashOf(i), found+1)
		}
		if found != of {
			t.Fatalf("hash %d is not found in run %d", i, of)
		}
	}
	wrong := 0
	const asked = 100_000
	for i := range uint64(asked) {
		for at := fs.next(hashOf(1<<40+i), 0); at >= 0; at = fs.next(hashOf(1<<40+i), at+1) {
			wrong++
		}
	}
	if most := runs * asked * 3 / 10_000; wrong > most {
		t.Errorf("wrong about %d of %d, want at most %d", wrong, runs*asked, most)
	}
}

func TestRemovedFilterLetsTheOthersMoveUp(t *testing.T) {
	fs := fill(3, 100)
	fs.remove(1)
	for i := range uint64(100) {
		if at := fs.next(hashOf(i), 0); at != 0 {
			t.Errorf("hash %d of run 0 is found at %d", i, at)
		}
		if at := fs.next(hashOf(200+i), 1); at != 1 {
			t.Errorf("hash %d of run 2 is found at %d", i, at)
		}
	}
	fs.remove(0)
	fs.remove(0)
	if at := fs.next(hashOf(200), 0); at != -1 {
		t.Errorf("found at %d where there is no filter", at)
	}
}

func TestLostFilterHasEverything(t *testing.T) {
	fs := fill(1, 10)
	fs.add(filter{1, 2, 3})
	if at := fs.next(hashOf(1<<40), 0); at != 1 {
		t.Errorf("found at %d, want 1", at)
	}
}

// BenchmarkFilters asks for a new hash among five million, as 10,000 events a second
// under keys of ten minutes leave.
func BenchmarkFilters(b *testing.B) {
	fs := fill(183, defaultLedgerSize)
	hashes := make([]*[16]byte, 10_000)
	for i := range hashes {
		hashes[i] = hashOf(1<<40 + uint64(i))
	}
	b.ResetTimer()
	for i := range b.N {
		hash := hashes[i%len(hashes)]
		for at := fs.next(hash, 0); at >= 0; at = fs.next(hash, at+1) {
		}
	}
}
