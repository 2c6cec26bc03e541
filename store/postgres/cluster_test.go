package postgres_test

import (
	"testing"

	"github.com/neohook/neohook/store/postgres"
	"github.com/neohook/neohook/store/storetest"
)

var _ storetest.ClusterStore = (*postgres.Store)(nil)

func TestCluster(t *testing.T) {
	storetest.RunCluster(t, func(t *testing.T) func() storetest.ClusterStore {
		folder := t.TempDir()
		return func() storetest.ClusterStore { return openAt(t, folder).(*postgres.Store) }
	})
}
