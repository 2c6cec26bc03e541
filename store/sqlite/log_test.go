package sqlite_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/neohook/neohook/store"
)

// TestLogStaysBoundedUnderSteadyReads writes 10 MB while there is always somebody reading.
func TestLogStaysBoundedUnderSteadyReads(t *testing.T) {
	const most, mayReach = 1 << 20, 6 << 20
	folder := t.TempDir()
	s := openAt(t, folder)
	s.SetMostLog(most)
	p := newPublisher(t, s)
	p.script("PRAGMA wal_autocheckpoint = 50")
	p.script("PRAGMA synchronous = OFF")
	p.accept.Payload = make([]byte, 4096)
	p.publish(time.Hour, 0, 500) // something to read
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 6 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				filter := store.EventFilter{Types: []string{"none"}}
				if _, err := s.Events(t.Context(), p.accept.Tenant, filter, store.Page{Limit: 50}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	largest := int64(0)
	for number := uint64(1000); number < 3000; number += 10 {
		p.publish(time.Hour, number, number+10)
		info, err := os.Stat(filepath.Join(folder, "neohook.db-wal"))
		if err != nil {
			t.Fatal(err)
		}
		largest = max(largest, info.Size())
	}
	close(stop)
	readers.Wait()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if largest > mayReach {
		t.Errorf("the log reached %d bytes, want at most %d", largest, mayReach)
	}
	t.Logf("the log reached %d bytes", largest)
}
