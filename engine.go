package neohook

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"time"

	"github.com/neohook/neohook/internal/catalogue"
	"github.com/neohook/neohook/internal/gate"
	"github.com/neohook/neohook/internal/ident"
	"github.com/neohook/neohook/internal/record"
	"github.com/neohook/neohook/internal/routing"
	"github.com/neohook/neohook/internal/seal"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

// Engine accepts events and delivers them. Make one with New and let it Run. All its
// methods are safe for concurrent use.
type Engine struct {
	// Organisation is the one named by Options.Organisation: eng.Publish,
	// eng.CreateTenant, and so on act for it.
	*Organisation

	opts    Options
	store   store.Store
	made    time.Time // of the store's instance
	records *record.Translator
	routes  *routing.Table
	// catalogue has the schemas that payloads are held to.
	catalogue *catalogue.Table
	gate      *gate.Gate
	machinery
	node *node // nil where the engine is alone on its store
	ran  atomic.Bool
	// creating has a place for the one who counts and stores an endpoint. It is a channel,
	// so that who waits behind a store that stalls can give up.
	creating chan struct{}
	// pausing has a place for the one who pauses or resumes everything.
	pausing chan struct{}
	paused  atomic.Bool
}

// New prepares an engine over a store; it starts nothing. ctx bounds the reading of the
// store only. On a new store it makes what identifiers are encoded with, and the keyset
// file unless a keyset is given; on any other it returns an error if the keyset is
// missing or another than the store's.
func New(ctx context.Context, st store.Store, opts Options) (*Engine, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	cluster, err := opts.cluster(st)
	if err != nil {
		return nil, fmt.Errorf("neohook: %w", err)
	}
	records, instance, err := openInstance(ctx, st, opts)
	if err != nil {
		return nil, fmt.Errorf("neohook: %w", err)
	}
	e := &Engine{
		opts: opts, store: st, made: instance.CreatedAt, records: records,
		creating:  make(chan struct{}, 1),
		pausing:   make(chan struct{}, 1),
		routes:    routing.New(st, records, routing.Limits{}),
		catalogue: catalogue.New(st, catalogue.Limits{}),
	}
	e.Organisation = e.In(opts.Organisation)
	if e.gate, err = gate.New(st, records, opts.JWT); err != nil {
		return nil, fmt.Errorf("neohook: Options.JWT: %w", err)
	}
	if err := e.assemble(); err != nil {
		return nil, fmt.Errorf("neohook: %w", err)
	}
	if cluster != nil {
		e.assembleNode(cluster)
	}
	e.paused.Store(instance.Paused)
	e.lanes.Pause(time.Now(), instance.Paused)
	if err := e.prepareOperational(ctx); err != nil {
		return nil, fmt.Errorf("neohook: operational events: %w", err)
	}
	return e, nil
}

// In returns what acts for an organisation. It is cheap. Organisations are not kept
// anywhere: where an id does not pass its Check every method returns
// webhook.ErrMalformedID.
func (e *Engine) In(id webhook.OrganisationID) *Organisation {
	return &Organisation{engine: e, id: id}
}

// MaxPayloadBytes returns the longest payload of an event that Publish takes: that of
// Options, or its default. Whoever reads events from a wire bounds them by it.
func (e *Engine) MaxPayloadBytes() int { return e.opts.MaxPayloadBytes }

// AdapterHealth tells how the adapter is doing, as it tells itself.
func (e *Engine) AdapterHealth(ctx context.Context) webhook.Health { return e.sending.Health(ctx) }

// idSecretUse binds the sealed secret to its use.
const idSecretUse = "instance id secret"

// openInstance opens what the first engine on the store has made, or makes it.
func openInstance(ctx context.Context, st store.Store, opts Options) (*record.Translator, store.Instance, error) {
	instance, err := st.Instance(ctx)
	isNew := errors.Is(err, store.ErrNotFound)
	if err != nil && !isNew {
		return nil, instance, err
	}
	keyset, err := loadKeyset(st, opts, isNew)
	if err != nil {
		return nil, instance, err
	}
	if isNew {
		sealed, err := keyset.Seal(ident.NewSecret(), []byte(idSecretUse))
		if err != nil {
			return nil, instance, err
		}
		made := store.Instance{SealedIDSecret: sealed, CreatedAt: time.Now()}
		if instance, err = st.InitInstance(ctx, made); err != nil {
			return nil, instance, err
		}
	}
	secret, err := keyset.Open(instance.SealedIDSecret, []byte(idSecretUse))
	if err != nil {
		return nil, instance, fmt.Errorf("%s is not the one that this store was made with: give that one (%w)", keyset.Source(), err)
	}
	ids, err := ident.New(secret)
	if err != nil {
		return nil, instance, err
	}
	return &record.Translator{IDs: ids, Keyset: keyset}, instance, nil
}

func loadKeyset(st store.Store, opts Options, isNew bool) (*seal.Keyset, error) {
	if len(opts.Keyset) > 0 {
		return seal.Parse(opts.Keyset)
	}
	file := opts.KeysetFile
	if beside, has := st.(interface{ KeysetFile() string }); has && file == "" {
		file = beside.KeysetFile()
	}
	if file == "" {
		return nil, errors.New("Options.Keyset or Options.KeysetFile is needed: this store has no place for a keyset")
	}
	if isNew {
		return seal.LoadOrCreate(file)
	}
	keyset, err := seal.Load(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("keyset file %s is missing, and without it the store's secrets can't be read: put it back from a backup, or copy it from another node", file)
	}
	return keyset, err
}

// changed is called when a tenant or one of its endpoints may have changed in the store,
// before whoever changed it is told. What is in memory for its endpoints acts on it when
// it returns.
func (e *Engine) changed(ctx context.Context, tenant store.TenantKey) {
	e.changedHere(ctx, tenant)
	e.heard(context.WithoutCancel(ctx), tenant)
}

// changedHere is changed as far as this node goes.
func (e *Engine) changedHere(ctx context.Context, tenant store.TenantKey) {
	var before []store.EndpointKey
	if held := e.routes.Held(tenant); held != nil {
		before = held.Keys()
	}
	e.routes.Refresh(tenant)
	e.toldOfChange(ctx, tenant, before)
}

// toldOfChange has lanes act on other routes: those of some endpoints, or where none are
// named, all of the tenant.
func (e *Engine) toldOfChange(ctx context.Context, tenant store.TenantKey, endpoints []store.EndpointKey) {
	e.herald.Changed(context.WithoutCancel(ctx), tenant)
	// The change is stored: that its caller goes away must not keep it from the lanes.
	if err := e.lanes.Changed(context.WithoutCancel(ctx), tenant, endpoints); err != nil {
		e.opts.Logger.WarnContext(ctx, "a change of endpoints could not be read: nothing is sent to them until it can", "error", err)
	}
}
