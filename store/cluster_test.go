package store_test

import (
	"testing"

	"github.com/neohook/neohook/store"
)

func TestBucketsNeverChange(t *testing.T) {
	for tenant, want := range map[store.TenantKey]store.Bucket{0: 0, 1: 485, 2: 138, 3: 240, 1_000_000: 854, 1<<63 - 1: 701} {
		if got := store.BucketOf(tenant); got != want {
			t.Errorf("BucketOf(%d) = %d, want %d", tenant, got, want)
		}
	}
}

func TestTenantsAreSpreadOverTheBuckets(t *testing.T) {
	const each = 100
	var tenants [store.BucketCount]int
	for key := store.TenantKey(1); key <= each*store.BucketCount; key++ {
		tenants[store.BucketOf(key)]++
	}
	for bucket, count := range tenants {
		if count < each/2 || count > each*2 {
			t.Errorf("bucket %d has %d of the tenants, want about %d", bucket, count, each)
		}
	}
}
