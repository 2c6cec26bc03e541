package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/egress"
	"github.com/neohook/neohook/httpapi"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/postgres"
	"github.com/neohook/neohook/webhook"
)

// requestGrace is how long requests in flight may take once the server ends.
const requestGrace = 5 * time.Second

// server is a data folder with everything that works on it, open and not yet running.
type server struct {
	folder   string // absolute
	log      *slog.Logger
	grace    time.Duration
	listener net.Listener
	store    store.Store
	engine   *neohook.Engine
	http     *http.Server
	// aside is what is served beside the API, to whoever can reach it.
	aside []asideService
	// token is the text of the API token; "" where it is lost.
	token string
}

// openServer takes the address, then the folder, and joins what works on them. Nothing
// is delivered before run.
func openServer(ctx context.Context, s settings, log *slog.Logger) (_ *server, err error) {
	folder, err := filepath.Abs(string(s.Data))
	if err != nil {
		return nil, err
	}
	if s.Role != doAll && s.Database == "" {
		return nil, &usageError{fmt.Errorf("role %s is for servers that share a database, which --database names", s.Role)}
	}
	srv := &server{folder: folder, log: log, grace: time.Duration(s.Grace)}
	defer func() {
		if err != nil {
			_ = srv.close() // err is the one to tell of
		}
	}()
	if srv.listener, err = listen(ctx, s.Listen); err != nil {
		return nil, err
	}
	if err := srv.listenAside(ctx, "profiles", s.DebugListen, profiles()); err != nil {
		return nil, err
	}
	if srv.store, err = s.open(ctx, postgres.Options{Migrate: s.Migrate, Logger: log}); err != nil {
		return nil, err
	}
	options := s.options(log)
	if options.JWT, err = s.jwt(); err != nil {
		return nil, err
	}
	if srv.engine, err = neohook.New(ctx, srv.store, options); err != nil {
		return nil, err
	}
	srv.token, err = ensureToken(ctx, srv.store, folder, time.Now())
	if opened, isOpen := errors.AsType[*openTokenError](err); isOpen {
		log.WarnContext(ctx, "token file was readable by others", "hint", opened.Error())
		err = nil
	}
	switch lost := errors.Is(err, errTokenLost); {
	case lost && s.Database != "" && srv.token != "":
		log.WarnContext(ctx, "the database does not know the token of this folder: copy the file of a server that has the present one", "file", filepath.Join(folder, tokenFile))
		srv.token = ""
	case lost && s.Database != "": // another server made it, and has it in its folder
		log.InfoContext(ctx, "this folder has no token file: the tokens of the database open this server, too")
	case lost: // whoever has its text can go on working
		log.WarnContext(ctx, "token file is lost", "hint", err.Error())
	case err != nil:
		return nil, err
	}
	scrape := metricsHandler(srv.engine)
	if err := srv.listenAside(ctx, "metrics", s.MetricsListen, onlyAt("/metrics", scrape)); err != nil {
		return nil, err
	}
	api, err := httpapi.New(srv.engine, httpapi.Options{
		Logger: log, Version: programVersion(), Metrics: scrape, PublicURL: string(s.PublicURL),
	})
	if err != nil {
		return nil, err
	}
	var handler http.Handler = api
	if s.Role == deliverOnly {
		handler = s.Role.withoutAPI(api)
	}
	srv.http = newHTTPServer(handler, log)
	srv.http.RegisterOnShutdown(api.EndStreams)
	srv.http.DisableGeneralOptionsHandler = true // the API answers OPTIONS * like everything else
	return srv, writeAddress(folder, srv.listener)
}

// options are the engine's part of the settings.
func (s settings) options(log *slog.Logger) neohook.Options {
	allow := make([]netip.Prefix, len(s.EgressAllow))
	for i, block := range s.EgressAllow {
		allow[i] = netip.Prefix(block)
	}
	return neohook.Options{
		Role:                s.Role.role(),
		NodeName:            s.nodeName(),
		Keyset:              []byte(s.Keyset),
		KeysetFile:          s.place.keysetFile(s.KeysetFile),
		Egress:              egress.Options{Allow: allow},
		Schedule:            webhook.Schedule(s.RetrySchedule),
		MaxPayloadBytes:     int(s.MaxPayload),
		CheckPayloads:       s.CheckPayloads,
		EndpointConcurrency: int(s.EndpointConcurrency),
		MaxInFlight:         int(s.MaxInFlight),
		MaxMemoryBytes:      int64(s.MaxMemory),
		MaxWaitingBytes:     int64(s.MaxWaiting),
		PublishWait:         time.Duration(s.PublishWait),
		JobRate:             int(s.JobRate),
		DisableAfter:        disableAfter(time.Duration(s.DisableAfter)),
		Retention: webhook.Retention{
			Payloads: time.Duration(s.KeepPayloads), Attempts: time.Duration(s.KeepAttempts), Events: time.Duration(s.KeepEvents),
		},
		MaxTenantBacklog:      int(s.MaxTenantBacklog),
		MaxEndpointsPerTenant: int(s.MaxTenantEndpoints),
		MinFreeBytes:          int64(s.MinFree),
		SvixHeaders:           s.SvixHeaders,
		UserAgent:             "Neohook/" + programVersion(),
		Grace:                 max(time.Duration(s.Grace), 1), // to the engine, 0 is its default and not none
		Logger:                log,
	}
}

// disableAfter is negative, which is never, where the setting is 0.
func disableAfter(setting time.Duration) time.Duration {
	if setting == 0 {
		return -1
	}
	return setting
}

// run serves and delivers until ctx ends, then winds down in this order:
//
//  1. No further connection is taken, and requests in flight are answered, within
//     requestGrace. The engine works on meanwhile, since they may be publishing.
//  2. The engine starts no attempt. Those in flight go on until they end, or are cut off
//     uncounted after the setting's grace. What came of them is on disk.
//  3. Metrics and profiles are served until here, where they have their own addresses.
//  4. close: the store, and with it the lock on the folder.
//
// Should a part end by itself, the rest ends too.
func (srv *server) run(ctx context.Context) error {
	serving, stopServing := context.WithCancel(ctx)
	defer stopServing()
	delivering, stopDelivering := context.WithCancel(context.WithoutCancel(ctx))
	defer stopDelivering()

	var wg sync.WaitGroup
	var delivered error
	servedAside := make([]error, len(srv.aside))
	watching, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWatching()
	for i, service := range srv.aside {
		wg.Go(func() {
			defer stopServing()
			servedAside[i] = serveHTTP(watching, newHTTPServer(service.handler, srv.log), service.listener, 0)
		})
	}
	wg.Go(func() {
		defer stopWatching()
		defer stopServing()
		delivered = srv.engine.Run(delivering)
	})
	served := serveHTTP(serving, srv.http, httpapi.Listener(srv.listener, srv.log), requestGrace)
	stopDelivering()
	wg.Wait()
	if delivered != nil {
		delivered = fmt.Errorf("delivery ended: %w", delivered)
	}
	return errors.Join(delivered, served, errors.Join(servedAside...))
}

// asideService is what is served on an address of its own.
type asideService struct {
	listener net.Listener
	handler  http.Handler
}

// listenAside takes the address of a service, if it has one.
func (srv *server) listenAside(ctx context.Context, what string, on address, handler http.Handler) error {
	if on == "" {
		return nil
	}
	listener, err := listen(ctx, on)
	if err != nil {
		return err
	}
	srv.log.InfoContext(ctx, "serving beside the API", "what", what, "url", baseURL(listener))
	srv.aside = append(srv.aside, asideService{listener, handler})
	return nil
}

// profiles serves what net/http/pprof would put on every server of the process.
func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// close lets go of the folder and the address. It is called once run has returned, or
// instead of it.
func (srv *server) close() error {
	if srv.listener != nil {
		_ = srv.listener.Close() // run has closed it already, if it ran
	}
	for _, service := range srv.aside {
		_ = service.listener.Close()
	}
	if srv.store == nil {
		return nil
	}
	_ = os.Remove(filepath.Join(srv.folder, addressFile)) // there is none if it did not come so far
	return srv.store.Close()
}
