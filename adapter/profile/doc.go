// Package profile knows settings of the HTTP adapter by name, and shares the adapters that
// are opened with them.
//
//	adapters := &profile.Factory{}
//	defer adapters.Close()
//	adapter, err := adapters.Get("high_throughput") // the same one for all who ask
//
// These are the names, and what they set beyond the defaults of httpadapter.Options:
//
//	                  timeout  concurrent  pool  per host  keep-alive  DNS cache  clean-up
//	default                            10   100
//	high_throughput                    50   300       100
//	low_latency          15 s                                   120 s      900 s
//	development          60 s           5    20                             60 s
//	production           30 s         100   500        50      300 s     1,800 s
//	testing               5 s           3    10                                        off
//
// Where the load is known, PoolSize tells how large a pool should be.
package profile
