package httpadapter_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/neohook/neohook/webhook"
)

// rawServer hands each connection to handle, and closes it behind it. It returns the
// server's URL. With the test it closes what is still open and waits.
func rawServer(t testing.TB, handle func(c net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		conns []net.Conn
	)
	wg.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			wg.Go(func() {
				defer c.Close()
				handle(c)
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return "http://" + listener.Addr().String() + "/"
}

// answering reads each request to its end and writes answer as it is.
func answering(answer string) func(net.Conn) {
	return func(c net.Conn) {
		in := bufio.NewReader(c)
		for readRequest(in) {
			if _, err := io.WriteString(c, answer); err != nil {
				return
			}
		}
	}
}

func readRequest(in *bufio.Reader) bool {
	r, err := http.ReadRequest(in)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, r.Body)
	return err == nil
}

// whole is an answer with its length.
func whole(body string) string {
	return "HTTP/1.1 200 OK\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
}

// forever writes text until the connection is closed.
func forever(c net.Conn, text string) {
	for {
		if _, err := io.WriteString(c, text); err != nil {
			return
		}
	}
}

// untilClosed waits for the peer to close.
func untilClosed(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// patience is how long a test waits for an answer: not long where it is to wait in vain.
func patience(code webhook.FaultCode) time.Duration {
	switch code {
	case webhook.FaultResponseTimeout, webhook.FaultBodyTooSlow, webhook.FaultRequestTimeout, webhook.FaultConnectTimeout, webhook.FaultDNS:
		return 400 * time.Millisecond
	}
	return 20 * time.Second
}

// answerer is a Dialer whose connections, in memory, answer with the same bytes.
type answerer []byte

func (answer answerer) DialContext(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	go func() {
		defer far.Close()
		if readRequest(bufio.NewReader(far)) {
			_, _ = far.Write(answer)
		}
	}()
	return near, nil
}
