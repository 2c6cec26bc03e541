package profile

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/neohook/neohook/adapter/httpadapter"
)

// ErrClosed is returned by a Factory that was closed.
var ErrClosed = errors.New("profile: the factory was closed")

// Factory opens one adapter for each name and gives it to all who ask for the name. The
// zero value is ready. It is safe for concurrent use.
type Factory struct {
	// Base is what the settings of a name are applied to. It must not change any more.
	Base httpadapter.Options

	mu       sync.Mutex
	adapters map[string]*httpadapter.Adapter
	closed   bool
}

// Get returns the adapter with the settings of a name; "" is Default. An unknown name is
// refused with *UnknownError. The Factory closes the adapter; its users do not.
func (f *Factory) Get(name string) (*httpadapter.Adapter, error) {
	if name == "" {
		name = Default
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, ErrClosed
	}
	if adapter, opened := f.adapters[name]; opened {
		return adapter, nil
	}
	opts, err := Apply(name, f.Base)
	if err != nil {
		return nil, err
	}
	adapter, err := httpadapter.New(opts)
	if err != nil {
		return nil, fmt.Errorf("profile %s: %w", name, err)
	}
	if f.adapters == nil {
		f.adapters = make(map[string]*httpadapter.Adapter)
	}
	f.adapters[name] = adapter
	return adapter, nil
}

// Close closes the adapters; what is in flight fails. A second time does nothing.
func (f *Factory) Close() error {
	return f.end(func(adapter *httpadapter.Adapter) error { return adapter.Close() })
}

// Shutdown lets what is in flight end, as long as ctx does, and closes the adapters. It
// returns the context's error if something had to be cut short.
func (f *Factory) Shutdown(ctx context.Context) error {
	return f.end(func(adapter *httpadapter.Adapter) error { return adapter.Shutdown(ctx) })
}

// end ends all adapters at the same time, so that they have the same time for it.
func (f *Factory) end(one func(*httpadapter.Adapter) error) error {
	f.mu.Lock()
	adapters := f.adapters
	f.adapters, f.closed = nil, true
	f.mu.Unlock()
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		errs error // under mu
	)
	for name, adapter := range adapters {
		wg.Go(func() {
			if err := one(adapter); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = errors.Join(errs, fmt.Errorf("profile %s: %w", name, err))
			}
		})
	}
	wg.Wait()
	return errs
}
