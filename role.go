package neohook

import (
	"errors"
	"fmt"

	"github.com/neohook/neohook/store"
)

// Role is what a node does of the work of all that run on the same store.
type Role string

// The roles. All but RoleAll are for stores that several engines may use at once.
const (
	// RoleAll accepts events and takes its share of the deliveries.
	RoleAll Role = ""
	// RoleAPI accepts events, and leaves all deliveries to others.
	RoleAPI Role = "api"
	// RoleDeliver takes its share of the deliveries. What is published through it is accepted
	// all the same: it is for the program around it to offer no API.
	RoleDeliver Role = "deliver"
)

// delivers says that a node of the role takes a share of the deliveries.
func (r Role) delivers() bool { return r != RoleAPI }

// cluster returns what of a store several engines may use at once; nil for one that is for
// a single engine.
func (o *Options) cluster(st store.Store) (store.Cluster, error) {
	switch o.Role {
	case RoleAll, RoleAPI, RoleDeliver:
	default:
		return nil, fmt.Errorf("Options.Role is %q, it must be %q, %q or %q", o.Role, RoleAll, RoleAPI, RoleDeliver)
	}
	cluster, is := st.(store.Cluster)
	if !is && o.Role != RoleAll {
		return nil, errors.New("Options.Role is for a store that several nodes share: on this one there is a single node, which does everything")
	}
	return cluster, nil
}
