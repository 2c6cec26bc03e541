package neohook

import (
	"github.com/neohook/neohook/internal/lane"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// LaneStats shows tests what is held in memory.
func (e *Engine) LaneStats() lane.Stats { return e.lanes.Stats() }

// EventKey shows tests what the store calls an event; 0 where the id is none.
func (e *Engine) EventKey(id webhook.EventID) store.EventKey {
	key, _, _ := e.records.IDs.ParseEvent(id)
	return key
}

// EndpointKey shows tests what the store calls an endpoint; 0 where the id is none.
func (e *Engine) EndpointKey(id webhook.EndpointID) store.EndpointKey {
	key, _, _ := e.records.IDs.ParseEndpoint(id)
	return key
}
