package storetest

import (
	"time"

	"github.com/neohook/neohook/store"
)

func instanceIsMadeOnce(w *world) {
	_, err := w.Instance(w.ctx)
	w.is("Instance of a new store", err, store.ErrNotFound)
	first := store.Instance{SealedIDSecret: []byte{0, 1, 2}, CreatedAt: w.now}
	same(w, "first", mustGet[store.Instance](w)(w.InitInstance(w.ctx, first)), first)
	second := store.Instance{SealedIDSecret: []byte{9}, CreatedAt: w.now.Add(time.Hour)}
	same(w, "second", mustGet[store.Instance](w)(w.InitInstance(w.ctx, second)), first)
	same(w, "Instance", mustGet[store.Instance](w)(w.Instance(w.ctx)), first)
}

func pauseIsKept(w *world) {
	w.is("SetPaused of a new store", w.SetPaused(w.ctx, true), store.ErrNotFound)
	made := store.Instance{SealedIDSecret: []byte{1}, CreatedAt: w.now}
	mustGet[store.Instance](w)(w.InitInstance(w.ctx, made))
	for _, paused := range []bool{false, true, true, false} {
		w.must(w.SetPaused(w.ctx, paused))
		made.Paused = paused
		same(w, "Instance", mustGet[store.Instance](w)(w.Instance(w.ctx)), made)
	}
}
