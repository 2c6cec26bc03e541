package neohook_test

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/webhook"
)

// However long the database is away, each part says so once, and that it is back is said
// where nobody asks for anything, too.
func TestLogOfAnOutageDoesNotGrowWithIt(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		var log lines
		var away atomic.Bool
		handle := memstore.New().Node()
		handle.Faults = func(context.Context, string, memstore.Moment) error {
			if away.Load() {
				return store.ErrUnavailable
			}
			return nil
		}
		eng, stop := startFake(t, handle, memadapter.New(), neohook.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		defer stop()
		createTenant(t, eng, "acme")
		createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "https://one.example"})
		publish(t, eng, "acme", `{}`)
		time.Sleep(settle)

		before := len(log.all())
		away.Store(true)
		time.Sleep(time.Hour)
		told := log.all()[before:]
		const most = 12 // one from each part that looks into the database by itself
		if len(told) == 0 || len(told) > most {
			t.Errorf("an hour's outage is told in %d lines, want 1 to %d:\n%s", len(told), most, strings.Join(told, "\n"))
		}

		before = len(log.all())
		away.Store(false)
		time.Sleep(settle)
		if told := strings.Join(log.all()[before:], "\n"); strings.Count(told, "it lives again") != 1 {
			t.Errorf("that the database is back is told so, want one line:\n%s", told)
		}
	})
}
