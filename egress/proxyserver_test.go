package egress

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"testing"
)

// An obedient is a proxy that connects to whatever it is told, on loopback: a name is
// 127.0.0.1.
type obedient struct {
	url  *url.URL
	user string // "user:password" that it wants; "" is none

	mu  sync.Mutex
	saw []string // the targets it was asked for
}

func (o *obedient) asked() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.saw)
}

// open connects to a target that it was asked for.
func (o *obedient) open(to string) (net.Conn, error) {
	o.mu.Lock()
	o.saw = append(o.saw, to)
	o.mu.Unlock()
	host, port, err := net.SplitHostPort(to)
	if err != nil {
		return nil, err
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		ip = netip.MustParseAddr("127.0.0.1")
	}
	if !ip.IsLoopback() {
		return nil, errors.New("no way there")
	}
	return net.Dial("tcp", net.JoinHostPort(ip.String(), port))
}

// newProxyServer starts one on loopback.
func newProxyServer(t *testing.T, scheme, user string) *obedient {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &obedient{user: user, url: &url.URL{Scheme: scheme, Host: listener.Addr().String()}}
	if scheme == "https" {
		listener = tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{proxyCertificate(t)}})
	}
	serve := o.connect
	if scheme == "socks5" {
		serve = o.socks
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				if to, err := serve(conn); err == nil {
					splice(conn, to)
				}
			})
		}
	})
	t.Cleanup(func() { _ = listener.Close(); serving.Wait() })
	return o
}

// splice copies both ways until either side ends.
func splice(a, b net.Conn) {
	done := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{a, b}, {b, a}} {
		go func() {
			_, _ = io.Copy(pair[0], pair[1])
			_ = pair[0].Close()
			_ = pair[1].Close()
			done <- struct{}{}
		}()
	}
	<-done
	<-done
}

func (o *obedient) connect(conn net.Conn) (net.Conn, error) {
	r, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return nil, err
	}
	say := func(status int) { _, _ = fmt.Fprintf(conn, "HTTP/1.1 %d x\r\n\r\n", status) }
	r.Header.Set("Authorization", r.Header.Get("Proxy-Authorization"))
	user, password, _ := r.BasicAuth()
	if r.Method != http.MethodConnect || r.Host != r.RequestURI {
		say(http.StatusBadRequest)
		return nil, errors.New("no CONNECT")
	}
	if o.user != "" && user+":"+password != o.user {
		say(http.StatusProxyAuthRequired)
		return nil, errors.New("wrong password")
	}
	to, err := o.open(r.RequestURI)
	if err != nil {
		say(http.StatusBadGateway)
		return nil, err
	}
	say(http.StatusOK)
	return to, nil
}

// socks speaks the server's part of RFC 1928 and 1929.
func (o *obedient) socks(conn net.Conn) (net.Conn, error) {
	read := func(n int) []byte {
		b := make([]byte, n)
		if _, err := io.ReadFull(conn, b); err != nil {
			return make([]byte, n)
		}
		return b
	}
	read(int(read(2)[1]))
	if o.user == "" {
		_, _ = conn.Write([]byte{5, 0})
	} else {
		_, _ = conn.Write([]byte{5, 2})
		user := string(read(int(read(2)[1])))
		password := string(read(int(read(1)[0])))
		if user+":"+password != o.user {
			_, _ = conn.Write([]byte{1, 1})
			return nil, errors.New("wrong password")
		}
		_, _ = conn.Write([]byte{1, 0})
	}
	var host string
	switch read(4)[3] {
	case 1:
		host = netip.AddrFrom4([4]byte(read(4))).String()
	case 3:
		host = string(read(int(read(1)[0])))
	case 4:
		host = netip.AddrFrom16([16]byte(read(16))).String()
	}
	to, err := o.open(net.JoinHostPort(host, fmt.Sprint(binary.BigEndian.Uint16(read(2)))))
	code := byte(0)
	if err != nil {
		code = 4
	}
	_, _ = conn.Write([]byte{5, code, 0, 1, 0, 0, 0, 0, 0, 0})
	return to, err
}

// proxyCertificate is for 127.0.0.1 and example.com, by the authority of proxyRoots.
func proxyCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	defer s.Close()
	return s.TLS.Certificates[0]
}

func proxyTLS(t *testing.T) *tls.Config {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	return &tls.Config{RootCAs: s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, MinVersion: tls.VersionTLS12}
}
