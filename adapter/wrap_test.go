package adapter_test

import (
	"testing"

	"github.com/neohook/neohook/adapter"
	"github.com/neohook/neohook/adapter/breaker"
	"github.com/neohook/neohook/adapter/memadapter"
	"github.com/neohook/neohook/adapter/observe"
)

func TestAsFindsAPowerInside(t *testing.T) {
	mem := memadapter.New()
	guarded := breaker.New(mem, breaker.Options{})
	a := observe.New(observe.New(guarded, observe.Hooks{}), observe.Hooks{})
	if found, ok := adapter.As[*breaker.Adapter](a); !ok || found != guarded {
		t.Error("the breaker is not found")
	}
	if found, ok := adapter.As[interface{ Requests() []memadapter.Request }](a); !ok || found == nil {
		t.Error("what is innermost is not found")
	}
	if found, ok := adapter.As[*observe.Adapter](a); !ok || found != a {
		t.Error("the outermost does not win")
	}
	if _, ok := adapter.As[interface{ Fly() }](a); ok {
		t.Error("something has a power that nothing has")
	}
	if _, ok := adapter.As[*memadapter.Adapter](nil); ok {
		t.Error("nothing has a power")
	}
}
