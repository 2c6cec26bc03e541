package store

import (
	"context"
	"time"

	"github.com/neohook/neohook/webhook"
)

// Tenant is a tenant as stored.
type Tenant struct {
	Key          TenantKey
	Organisation string
	UID          string // "" is none
	Name         string
	RateLimit    int
	Paused       bool
	Retention    webhook.Retention
	Metadata     map[string]string
	CreatedAt    time.Time
	UpdatedAt    time.Time
	// Version counts the updates, from 1.
	Version int64
}

// Endpoint is an endpoint as stored.
type Endpoint struct {
	Key         EndpointKey
	Tenant      TenantKey
	UID         string // "" is none
	Name        string
	Description string
	URL         string
	Method      string
	Protocol    string // of webhook.Protocol; "" is none
	Timeout     time.Duration
	Disabled    bool
	Paused      bool
	EventTypes  []string
	Channels    []string
	RateLimit   int
	Concurrency int
	Ordered     bool
	// Schedule is kept as nil, empty or full, each apart from the others.
	Schedule      webhook.Schedule
	FinalStatuses []int
	UserVersion   int // the caller's own number
	Metadata      map[string]string
	CreatedBy     string
	CreatedAt     time.Time
	UpdatedAt     time.Time
	// SealedSecrets and SealedHeaders hold the signing keys and the custom headers.
	SealedSecrets []byte
	SealedHeaders []byte
	// Version counts the updates, from 1.
	Version int64
}

// Routes is what an event of a tenant is matched against.
type Routes struct {
	// Version rises with every change of the tenant or of its endpoints, and with the
	// tenant's deletion: who holds a Routes whose Version still counts knows the tenant's
	// UID and limits as they are.
	Version   int64
	Tenant    Tenant
	Endpoints []Endpoint // ascending by key, disabled ones included
}

// Page asks for part of a list that is ordered by key.
type Page struct {
	// After is the key to go on behind, exclusive; 0 is from the beginning of the walk.
	After int64
	// Descending walks from the highest key down.
	Descending bool
	// Limit is the most items to return, 1 or more.
	Limit int
}

// Directory keeps tenants and endpoints. A change is durable when the call returns, and
// counts for every Routes and Commit that begins after it.
//
// A record's key is drawn first, with NewKey, so that whatever is derived from the key
// can be made before the record is stored.
type Directory interface {
	// NewKey draws a key for a tenant, an endpoint or a token.
	NewKey(ctx context.Context) (int64, error)

	// InsertTenant stores a tenant under its own key, as version 1. It returns
	// *ReplayError if once is not nil and was seen before, else ErrConflict if the UID is
	// taken in the organisation.
	InsertTenant(ctx context.Context, tenant Tenant, once *Once) error
	// UpdateTenant replaces the tenant whose version is one lower than the record's, but
	// for its Organisation and CreatedAt, which stay, and raises the tenant's Routes
	// version. It returns ErrNotFound, ErrStale or ErrConflict, the first that holds.
	UpdateTenant(ctx context.Context, tenant Tenant) error
	// DeleteTenant ends a tenant, all its endpoints and tokens; their UIDs are free again. Their
	// history stays. It returns ErrNotFound.
	DeleteTenant(ctx context.Context, key TenantKey, now time.Time) error
	// Tenant and TenantByUID return ErrNotFound for a deleted one, and for one of
	// another organisation.
	Tenant(ctx context.Context, organisation string, key TenantKey) (Tenant, error)
	TenantByUID(ctx context.Context, organisation, uid string) (Tenant, error)
	// Tenants lists an organisation's tenants.
	Tenants(ctx context.Context, organisation string, page Page) ([]Tenant, error)

	// InsertEndpoint, UpdateEndpoint and DeleteEndpoint are as for tenants, and raise the
	// tenant's Routes version. InsertEndpoint returns ErrNotFound if there is no such
	// tenant; an update leaves the endpoint's Tenant and CreatedAt. Announcements are put
	// into the outbox with the change.
	InsertEndpoint(ctx context.Context, endpoint Endpoint, once *Once, announce ...Announcement) error
	// UpdateEndpoint: once, if not nil, is as for an insert.
	UpdateEndpoint(ctx context.Context, endpoint Endpoint, once *Once, announce ...Announcement) error
	DeleteEndpoint(ctx context.Context, tenant TenantKey, key EndpointKey, now time.Time, announce ...Announcement) error
	// Endpoint and EndpointByUID return ErrNotFound for a deleted one, and for one of
	// another tenant.
	Endpoint(ctx context.Context, tenant TenantKey, key EndpointKey) (Endpoint, error)
	EndpointByUID(ctx context.Context, tenant TenantKey, uid string) (Endpoint, error)
	Endpoints(ctx context.Context, tenant TenantKey, page Page) ([]Endpoint, error)

	// Routes returns the tenant and all its endpoints with their version, in one
	// consistent reading, or ErrNotFound.
	Routes(ctx context.Context, tenant TenantKey) (Routes, error)
	// Replay returns the stored answer of once as *ReplayError, or nil if it was not
	// seen before, as of now. It lets a caller answer a repeat before it does any work.
	Replay(ctx context.Context, once *Once, now time.Time) error
}

// Once makes a change happen a single time however often it is asked for. The change
// and the Once are stored in one transaction.
type Once struct {
	// Hash tells the request apart from all others, its owner included. It is one: a
	// store counts on its bytes being even.
	Hash [16]byte
	// Body is a hash of what was asked for: the same Hash with another Body is a mistake
	// of the caller's.
	Body [16]byte
	// A repeat is recognised until TTL, which is more than 0, has passed since Now. Equal
	// hashes have equal TTLs.
	Now time.Time
	TTL time.Duration
	// Answer is given back to a repeat. It may be empty.
	Answer []byte
}

// ReplayError says that a change was made before, and what was answered then.
type ReplayError struct {
	Answer []byte
	// Mismatch says that the earlier request asked for something else.
	Mismatch bool
}

// Error describes the repeat.
func (e *ReplayError) Error() string {
	if e.Mismatch {
		return "idempotency key was used for a different request"
	}
	return "request was carried out before"
}
