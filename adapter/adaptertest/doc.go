// Package adaptertest holds any webhook.Adapter to its contract: those of this module,
// those that wrap another, and your own.
//
//	func TestAdapter(t *testing.T) {
//		adaptertest.Run(t, func(t *testing.T) adaptertest.Bench {
//			… // open the adapter and a receiver; close both in t.Cleanup
//			return adaptertest.Bench{Adapter: adapter, Taking: taking, Silent: &silent}
//		})
//	}
//
// Run it with the race detector: one of the promises is to be safe for concurrent use.
// The suite has one case that takes a second; the others wait for nothing but the adapter.
package adaptertest
