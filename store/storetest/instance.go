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

func firstTokenIsStoredOnce(w *world) {
	first := store.Token{Hash: [32]byte{1}, Organisation: organisation, Name: "first", CreatedAt: w.now}
	second := store.Token{Hash: [32]byte{2}, Organisation: organisation, Name: "second", CreatedAt: w.now}
	_, err := w.Token(w.ctx, first.Hash)
	w.is("Token of a new store", err, store.ErrNotFound)
	same(w, "first stored", mustGet[bool](w)(w.InitToken(w.ctx, first)), true)
	same(w, "second stored", mustGet[bool](w)(w.InitToken(w.ctx, second)), false)
	same(w, "Token", mustGet[store.Token](w)(w.Token(w.ctx, first.Hash)), first)
	_, err = w.Token(w.ctx, second.Hash)
	w.is("Token of the second", err, store.ErrNotFound)
}

func replacedTokenOpensNothing(w *world) {
	token := func(hash byte, organisation, name string) store.Token {
		return store.Token{Hash: [32]byte{hash}, Organisation: organisation, Name: name, CreatedAt: w.now}
	}
	lost, other, foreign := token(1, organisation, "a"), token(2, organisation, "b"), token(3, "org_other", "a")
	for _, stored := range []store.Token{lost, other, foreign} {
		w.must(w.ReplaceToken(w.ctx, stored))
	}
	fresh := token(4, organisation, "a")
	w.must(w.ReplaceToken(w.ctx, fresh))
	_, err := w.Token(w.ctx, lost.Hash)
	w.is("the one replaced", err, store.ErrNotFound)
	for _, want := range []store.Token{other, foreign, fresh} {
		same(w, "kept", mustGet[store.Token](w)(w.Token(w.ctx, want.Hash)), want)
	}
	same(w, "InitToken behind it", mustGet[bool](w)(w.InitToken(w.ctx, token(5, organisation, "c"))), false)
}
