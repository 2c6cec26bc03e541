package neohook

import (
	"cmp"
	"fmt"
	"log/slog"
	"reflect"
	"time"

	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/egress"
	"github.com/neohook/neohook/internal/seal"
	"github.com/neohook/neohook/webhook"
)

// DefaultOrganisation owns the tenants of a program that has no organisations.
const DefaultOrganisation webhook.OrganisationID = "org_default"

// Options of an Engine. The zero value is the defaults.
type Options struct {
	// Organisation is whose the Engine's own methods act for; "" = DefaultOrganisation.
	Organisation webhook.OrganisationID

	// Keyset is a Tink AEAD keyset in cleartext JSON, see NewKeyset: secrets in the store
	// are encrypted with it. It wins over KeysetFile.
	Keyset []byte
	// KeysetFile holds the keyset; no one but its owner may read it. On a store that is
	// new it is made if it is missing. "" = beside the store's own file, for a store that
	// has one: with others Keyset or KeysetFile must be given.
	KeysetFile string

	// Role is what this node does, where the store is one that several nodes share; "" =
	// everything.
	Role Role
	// NodeName names this node to people, as in the logs of the others; it need not be
	// unique.
	NodeName string

	// JWT says which signed tokens Authenticate takes beside those of CreateToken; the zero
	// value is none.
	JWT access.JWT

	// Adapter sends; nil = an httpadapter of the engine's own. Egress, SvixHeaders and
	// UserAgent are for that one: New refuses them beside an Adapter, which would not heed
	// them.
	Adapter webhook.Adapter
	// Egress says which addresses may be dialled. The zero value is public addresses only.
	Egress egress.Options

	// Schedule is the waits between attempts at endpoints without one of their own; nil =
	// webhook.DefaultSchedule(); empty and not nil = one attempt.
	Schedule webhook.Schedule
	// Jitter varies each wait by this share either way; 0 = 0.2; negative = none.
	Jitter float64

	// MaxPayloadBytes is the longest payload of an event; 0 = 1 MiB.
	MaxPayloadBytes int
	// CheckPayloads holds the payload of an event to the JSON Schemas of its type, in the
	// event's organisation: Publish returns a *PayloadError where it fits none of their
	// versions. Events whose type has no schemas, or is not known, are taken as they are.
	CheckPayloads bool
	// EndpointConcurrency is how many attempts may be in flight at an endpoint that does
	// not say itself; 0 = 10.
	EndpointConcurrency int
	// MaxInFlight is how many attempts may be in flight over all endpoints; 0 = 4096.
	MaxInFlight int
	// MaxMemoryBytes bounds the payloads held in memory; what is beyond waits in the
	// store. 0 = 64 MiB.
	MaxMemoryBytes int64
	// MaxWaitingBytes bounds the events whose publishers wait for a place in that memory:
	// payloads, and a KiB for each. Beyond it Publish returns ErrOverloaded at once.
	// 0 = 64 MiB.
	MaxWaitingBytes int64
	// PublishWait is how long Publish waits for an event's turn to be stored; 0 = 5 s.
	PublishWait time.Duration
	// MaxTenantBacklog is how many open deliveries a tenant may have; beyond it Publish
	// returns ErrBacklogFull. The number is kept in memory and may be off by what changed
	// while it was counted, which is done anew before a tenant is turned away, once a
	// minute at most. 0 = 10 million; negative = no limit.
	MaxTenantBacklog int
	// MaxEndpointsPerTenant bounds those that can be created, and so the deliveries of one
	// event; 0 = 500; negative = no limit.
	MaxEndpointsPerTenant int
	// MinFreeBytes must be free where the store writes, or Publish returns ErrOverloaded;
	// outcomes are stored all the same. It is for stores that can tell, as SQLite's.
	// 0 = 256 MiB; negative = not watched.
	MinFreeBytes int64

	// JobRate is how many deliveries a second a job sends that does not say itself, at most
	// MaxJobRate; 0 = 200.
	JobRate int

	// DisableAfter is how long an endpoint may be without a success, from its first failure
	// on, until it is disabled; 0 = 5 days; negative = never. The Logger, and who hears of
	// operational events, is warned at 50 and 90 percent of it. It is judged where an attempt fails.
	DisableAfter time.Duration

	// Retention is how long what events leave behind is kept of tenants that do not say;
	// a time that is 0 is webhook.DefaultRetention, but at most that of Events.
	Retention webhook.Retention

	// SvixHeaders adds svix-… signature headers beside the webhook-… ones.
	SvixHeaders bool
	// UserAgent is the field of that name in each request; "" = "Neohook/" and the version
	// of this module.
	UserAgent string
	// Grace is how long Run lets attempts in flight go on when it ends; 0 = 30 s.
	Grace time.Duration
	// Logger gets what an operator must know; nil is silent.
	Logger *slog.Logger
}

func (o Options) withDefaults() (Options, error) {
	o.Organisation = cmp.Or(o.Organisation, DefaultOrganisation)
	if err := checkOrganisation(o.Organisation); err != nil {
		return o, fmt.Errorf("neohook: Options.Organisation: %w", err)
	}
	if o.Schedule == nil {
		o.Schedule = webhook.DefaultSchedule()
	}
	for i, wait := range o.Schedule {
		if wait < 0 {
			return o, fmt.Errorf("neohook: Options.Schedule: wait %d is negative", i+1)
		}
	}
	o.Jitter = max(0, cmp.Or(o.Jitter, 0.2))
	if o.Jitter > 1 {
		return o, fmt.Errorf("neohook: Options.Jitter is %v, it must be at most 1", o.Jitter)
	}
	o.MaxPayloadBytes = cmp.Or(o.MaxPayloadBytes, 1<<20)
	o.EndpointConcurrency = cmp.Or(o.EndpointConcurrency, 10)
	o.MaxInFlight = cmp.Or(o.MaxInFlight, 4096)
	o.MaxMemoryBytes = cmp.Or(o.MaxMemoryBytes, 64<<20)
	o.MaxWaitingBytes = cmp.Or(o.MaxWaitingBytes, 64<<20)
	o.PublishWait = cmp.Or(o.PublishWait, 5*time.Second)
	o.MaxTenantBacklog = max(0, cmp.Or(o.MaxTenantBacklog, 10_000_000)) // 0 is none from here on
	o.MaxEndpointsPerTenant = max(0, cmp.Or(o.MaxEndpointsPerTenant, 500))
	o.MinFreeBytes = cmp.Or(o.MinFreeBytes, 256<<20)
	o.Grace = cmp.Or(o.Grace, 30*time.Second)
	o.JobRate = cmp.Or(o.JobRate, 200)
	o.DisableAfter = cmp.Or(o.DisableAfter, 5*24*time.Hour)
	if err := o.Retention.Validate(); err != nil {
		return o, fmt.Errorf("neohook: Options.Retention: %w", err)
	}
	o.Retention = o.Retention.WithDefaults(webhook.Retention{
		Payloads: webhook.DefaultRetention, Attempts: webhook.DefaultRetention, Events: webhook.DefaultRetention,
	})
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := o.checkBounds(); err != nil {
		return o, err
	}
	return o, o.checkAdapter()
}

// checkAdapter refuses what would be dropped: a range closed in Egress would stay open.
func (o *Options) checkAdapter() error {
	if o.Adapter == nil {
		return nil
	}
	for name, set := range map[string]bool{
		"Egress": !reflect.ValueOf(o.Egress).IsZero(), "SvixHeaders": o.SvixHeaders, "UserAgent": o.UserAgent != "",
	} {
		if set {
			return fmt.Errorf("neohook: Options.%s is for the engine's own adapter: give it to the one in Options.Adapter", name)
		}
	}
	return nil
}

func (o *Options) checkBounds() error {
	for name, value := range map[string]int64{
		"MaxPayloadBytes": int64(o.MaxPayloadBytes), "EndpointConcurrency": int64(o.EndpointConcurrency),
		"MaxInFlight": int64(o.MaxInFlight), "MaxMemoryBytes": o.MaxMemoryBytes, "Grace": int64(o.Grace),
		"MaxWaitingBytes": o.MaxWaitingBytes, "PublishWait": int64(o.PublishWait), "JobRate": int64(o.JobRate),
	} {
		if value < 0 {
			return fmt.Errorf("neohook: Options.%s is negative", name)
		}
	}
	if o.JobRate > MaxJobRate {
		return fmt.Errorf("neohook: Options.JobRate is %d, it must be at most %d", o.JobRate, MaxJobRate)
	}
	return nil
}

// NewKeyset returns a fresh keyset for Options.Keyset. What is stored under it can't be
// read without it: keep it apart from the store, and as long as the store.
func NewKeyset() ([]byte, error) { return seal.Generate() }
