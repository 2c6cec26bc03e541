package neohook_test

import (
	"runtime"
	"testing"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/adapter/memadapter"
)

func TestStatsTellTheRoomThatTablesTake(t *testing.T) {
	eng, stop := start(t, openStore(t, t.TempDir()), neohook.Options{Adapter: memadapter.New()})
	defer stop()
	createTenant(t, eng, "acme")
	publish(t, eng, "acme", `{}`)
	size := eng.Stats(t.Context()).Store // asks for a measuring
	for size.Bytes == 0 {
		runtime.Gosched()
		size = eng.Stats(t.Context()).Store
	}
	if size.TableBytes["event"] == 0 || size.TableBytes["tenant"] == 0 {
		t.Errorf("the store takes %d bytes, its tables %v", size.Bytes, size.TableBytes)
	}
}
