package httpadapter_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// receiverEnv makes the test binary the receiver of the benchmarks, a process of its
// own so that its processor time is not counted as the sender's.
const receiverEnv = "HTTPADAPTER_RECEIVER"

// What receiverEnv may be.
const (
	receiverClear = "clear"
	receiverTLS   = "tls" // HTTP/1.1 and HTTP/2
)

func TestMain(m *testing.M) {
	if os.Getenv(receiverEnv) != "" {
		receive()
		return
	}
	goleak.VerifyTestMain(m)
}

func receive() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	_, _ = os.Stdout.WriteString(listener.Addr().String() + "\n")
	go func() { // the parent's end is ours
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	answer := []byte(`{"received":true}`)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	})}
	if os.Getenv(receiverEnv) == receiverTLS {
		key, cert := selfSigned()
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}}}
		panic(server.ServeTLS(listener, "", ""))
	}
	panic(server.Serve(listener))
}

func selfSigned() (key *ecdsa.PrivateKey, cert []byte) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	if cert, err = x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key); err != nil {
		panic(err)
	}
	return key, cert
}
