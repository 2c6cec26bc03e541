package neohook_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/adapter/httpadapter"
	"github.com/neohook/neohook/signature"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/webhook"
)

// pipes connects clients and a server within the process: a listener, and the dialer to
// it.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	close  func()
}

func newPipes() *pipes {
	p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	p.close = sync.OnceFunc(func() { close(p.closed) })
	return p
}

func (p *pipes) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.closed:
		return nil, errors.New("nothing listens")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.close(); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80} }

func TestRealRequestsKeepTheScheduleOverDays(t *testing.T) {
	inFakeTime(t, func(t *testing.T) {
		listener := newPipes()
		var mu sync.Mutex
		var at []time.Time
		var verifier *signature.Verifier
		server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			at = append(at, time.Now())
			n := len(at)
			mu.Unlock()
			if err := verifier.Verify(r.Header, body, time.Now()); err != nil {
				t.Errorf("attempt %d: %v", n, err)
			}
			switch n {
			case 1:
				w.WriteHeader(http.StatusInternalServerError)
			case 2: // hangs
				<-r.Context().Done()
			case 3:
				w.Header().Set("Retry-After", "7200")
				w.WriteHeader(http.StatusServiceUnavailable)
			case 4: // cuts the connection
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				_ = conn.Close()
			default:
				w.WriteHeader(http.StatusNoContent)
			}
		})}
		served := make(chan error, 1)
		go func() { served <- server.Serve(listener) }()

		adapter, err := httpadapter.New(httpadapter.Options{Dialer: listener, MaxConcurrent: -1})
		if err != nil {
			t.Fatal(err)
		}
		eng, stop := startFake(t, memstore.New(), adapter, neohook.Options{})
		createTenant(t, eng, "acme")
		endpoint := createEndpoint(t, eng, "acme", webhook.Endpoint{URL: "http://acme.example/hook", Timeout: 20 * time.Second})
		if verifier, err = signature.NewVerifier(endpoint.Secret); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		event := publish(t, eng, "acme", `{"n":1}`)
		time.Sleep(5 * 24 * time.Hour)

		second := 5 * time.Second
		third := second + 20*time.Second + 5*time.Minute // after its timeout
		fourth := third + 2*time.Hour                    // as asked for, being more than 30 min
		want := []time.Duration{0, second, third, fourth, fourth + 2*time.Hour}
		mu.Lock()
		got := after(start, at)
		mu.Unlock()
		if !slices.Equal(got, want) {
			t.Errorf("requests came after %v, want %v", got, want)
		}
		if log := attempts(t, eng, event, 5); len(log) != 5 {
			t.Errorf("%d attempts are logged, want 5", len(log))
		}
		stop()
		if err := adapter.Close(); err != nil {
			t.Error(err)
		}
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}
