package memstore_test

import (
	"testing"

	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/store/storetest"
)

func TestContract(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return memstore.New() })
}

// folders opens stores by name: the same name again is what was applied before.
func folders() func(*testing.T, string) store.Store {
	kept := make(map[string]*memstore.Store)
	return func(_ *testing.T, folder string) store.Store {
		if before := kept[folder]; before != nil {
			kept[folder] = before.Reopen()
		} else {
			kept[folder] = memstore.New()
		}
		return kept[folder]
	}
}

func TestDurable(t *testing.T) {
	storetest.RunDurable(t, folders())
}

// The model against itself shows that the comparison holds what it should hold.
func TestModel(t *testing.T) {
	storetest.Model(t, folders())
}

func TestTransactionsOfOthers(t *testing.T) {
	storetest.RunTx(t, false, func(t *testing.T) (store.Store, func() storetest.OpenTx) {
		s := memstore.New()
		t.Cleanup(func() { _ = s.Close() })
		return s, func() storetest.OpenTx {
			tx := s.Begin()
			return storetest.OpenTx{
				Tx: tx, Commit: func() error { return tx.Commit(t.Context()) },
				Rollback: func() error { tx.Rollback(); return nil },
			}
		}
	})
}

func TestCluster(t *testing.T) {
	storetest.RunCluster(t, func(t *testing.T) func() storetest.ClusterStore {
		s := memstore.New()
		return func() storetest.ClusterStore {
			node := s.Node()
			t.Cleanup(func() { _ = node.Close() })
			return node
		}
	})
}
