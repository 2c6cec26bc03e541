package profile

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/neohook/neohook/adapter/httpadapter"
)

// The names.
const (
	Default        = "default"
	HighThroughput = "high_throughput"
	LowLatency     = "low_latency"
	Development    = "development" // permissive, for debugging
	Production     = "production"
	Testing        = "testing" // fast, and predictable
)

// settings are what each name sets.
var settings = map[string]func(*httpadapter.Options){
	Default: func(o *httpadapter.Options) {
		o.MaxConcurrent, o.PoolSize = 10, 100
	},
	HighThroughput: func(o *httpadapter.Options) {
		o.MaxConcurrent, o.PoolSize, o.PoolSizePerHost = 50, 300, 100
	},
	LowLatency: func(o *httpadapter.Options) {
		o.Timeout, o.KeepAlive, o.DNSCacheTTL = 15*time.Second, 120*time.Second, 900*time.Second
	},
	Development: func(o *httpadapter.Options) {
		o.Timeout, o.DNSCacheTTL = 60*time.Second, 60*time.Second
		o.MaxConcurrent, o.PoolSize = 5, 20
	},
	Production: func(o *httpadapter.Options) {
		o.Timeout, o.KeepAlive, o.DNSCacheTTL = 30*time.Second, 300*time.Second, 1800*time.Second
		o.MaxConcurrent, o.PoolSize, o.PoolSizePerHost = 100, 500, 50
	},
	Testing: func(o *httpadapter.Options) {
		o.Timeout = 5 * time.Second
		o.MaxConcurrent, o.PoolSize = 3, 10
		o.NoCleanup = true
	},
}

// Names returns the names, sorted.
func Names() []string {
	names := make([]string, 0, len(settings))
	for name := range settings {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Apply returns base with what the name sets; "" is Default. What the name does not set
// stays as it is in base. An unknown name is refused with *UnknownError.
func Apply(name string, base httpadapter.Options) (httpadapter.Options, error) {
	if name == "" {
		name = Default
	}
	set, known := settings[name]
	if !known {
		return httpadapter.Options{}, &UnknownError{Name: name}
	}
	set(&base)
	return base, nil
}

// UnknownError is a name that is none of Names.
type UnknownError struct{ Name string }

// Error tells the names that there are.
func (e *UnknownError) Error() string {
	return fmt.Sprintf("profile: %q is none of %s", e.Name, strings.Join(Names(), ", "))
}
