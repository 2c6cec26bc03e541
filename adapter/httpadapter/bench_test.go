//go:build unix

package httpadapter_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/neohook/neohook/adapter/httpadapter"
	"github.com/neohook/neohook/signature"
	"github.com/neohook/neohook/webhook"
)

// startReceiver returns the URL of a receiver in another process.
func startReceiver(b *testing.B, kind string) string {
	b.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), receiverEnv+"="+kind)
	stdin, err := command.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = stdin.Close()
		_ = command.Wait()
	})
	address, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	scheme := map[string]string{receiverClear: "http://", receiverTLS: "https://"}[kind]
	return scheme + strings.TrimSpace(address) + "/hook"
}

const (
	benchConcurrency = 64
	benchTimeout     = 30 * time.Second
)

var benchPayload = []byte(`{"type":"invoice.paid","data":"` + strings.Repeat("x", 1000) + `"}`)

// sender makes one delivery.
type sender func() error

// bareClient is what one would write by hand, tuned: a kept pool that is large enough,
// signing with a key that is ready, the same deadline, the answer read.
func bareClient(b *testing.B, url string) sender {
	transport := &http.Transport{
		MaxIdleConns: 2 * benchConcurrency, MaxIdleConnsPerHost: 2 * benchConcurrency,
		IdleConnTimeout: 30 * time.Second, DisableCompression: true,
	}
	b.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	key, err := signature.Parse(secret)
	if err != nil {
		b.Fatal(err)
	}
	keys := []signature.Key{key}
	id := string(webhook.NewEventID())
	return func() error {
		ctx, cancel := context.WithTimeout(b.Context(), benchTimeout)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(benchPayload))
		if err != nil {
			return err
		}
		now := time.Now()
		req.Header.Set("Accept", "*/*")
		req.Header.Set("Accept-Encoding", "gzip")
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("User-Agent", "Neohook/bench")
		req.Header.Set("Webhook-Id", id)
		req.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
		req.Header.Set("Webhook-Signature", signature.Sign(keys, id, now, benchPayload))
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		_, err = io.ReadAll(io.LimitReader(resp.Body, 10<<10))
		_ = resp.Body.Close()
		return err
	}
}

func adapterSender(b *testing.B, url string, opts httpadapter.Options) sender {
	a := open(b, opts)
	ep := endpointAt(url)
	ep.Timeout = benchTimeout
	d := delivery(string(benchPayload))
	return func() error {
		if result := a.Deliver(b.Context(), d, ep); !result.Success {
			return result.Fault
		}
		return nil
	}
}

// unbounded are the options of a caller that limits its concurrency itself.
func unbounded() httpadapter.Options {
	return httpadapter.Options{MaxConcurrent: -1, PoolSize: -1, PoolSizePerHost: -1}
}

// load makes n deliveries with the benchmark's concurrency and returns the time and the
// processor time they took.
func load(b *testing.B, n int, send sender) (wall, cpu time.Duration) {
	var wg sync.WaitGroup
	var next atomic.Int64
	cpu, began := -cpuTime(b), time.Now()
	for range benchConcurrency {
		wg.Go(func() {
			for next.Add(1) <= int64(n) {
				if err := send(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return time.Since(began), cpu + cpuTime(b)
}

func cpuTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkDeliver tells what a delivery costs at 64 at a time, allocations included.
func BenchmarkDeliver(b *testing.B) {
	url := startReceiver(b, receiverClear)
	for name, send := range map[string]sender{
		"bare":    bareClient(b, url),
		"adapter": adapterSender(b, url, unbounded()),
		"limited": adapterSender(b, url, httpadapter.Options{MaxConcurrent: benchConcurrency, PoolSizePerHost: benchConcurrency}),
	} {
		b.Run(name, func(b *testing.B) {
			load(b, 2*benchConcurrency, send) // connections
			b.ReportAllocs()
			b.ResetTimer()
			_, cpu := load(b, b.N, send)
			b.ReportMetric(float64(cpu.Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkBesideBareClient sets the adapter beside a bare http.Client, in turns within
// one run so that both meet the same machine: cpu-ratio is the adapter's processor time
// for a delivery over the client's, rate-ratio the same of deliveries per second.
func BenchmarkBesideBareClient(b *testing.B) {
	url := startReceiver(b, receiverClear)
	bare, adapter := bareClient(b, url), adapterSender(b, url, unbounded())
	load(b, 4*benchConcurrency, bare)
	load(b, 4*benchConcurrency, adapter)
	const rounds = 20
	var bareWall, bareCPU, adapterWall, adapterCPU time.Duration
	each := max(1, b.N/(2*rounds))
	b.ResetTimer()
	for range rounds {
		wall, cpu := load(b, each, bare)
		bareWall, bareCPU = bareWall+wall, bareCPU+cpu
		wall, cpu = load(b, each, adapter)
		adapterWall, adapterCPU = adapterWall+wall, adapterCPU+cpu
	}
	requests := float64(each * rounds)
	b.ReportMetric(float64(adapterCPU)/float64(bareCPU), "cpu-ratio")
	b.ReportMetric(float64(bareWall)/float64(adapterWall), "rate-ratio")
	b.ReportMetric(float64(bareCPU.Nanoseconds())/requests, "bare-cpu-ns/op")
	b.ReportMetric(float64(adapterCPU.Nanoseconds())/requests, "adapter-cpu-ns/op")
	b.ReportMetric(requests/adapterWall.Seconds(), "adapter/s")
}

// BenchmarkProtocols tells what HTTP/1.1 and HTTP/2 cost over TLS.
func BenchmarkProtocols(b *testing.B) {
	url := startReceiver(b, receiverTLS)
	for name, protocol := range map[string]webhook.Protocol{"http1": webhook.HTTP1, "http2": webhook.HTTP2} {
		b.Run(name, func(b *testing.B) {
			opts := unbounded()
			opts.Protocol = protocol
			opts.TLS = &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(tls.ConnectionState) error { return nil }}
			send := adapterSender(b, url, opts)
			load(b, 2*benchConcurrency, send)
			b.ReportAllocs()
			b.ResetTimer()
			_, cpu := load(b, b.N, send)
			b.ReportMetric(float64(cpu.Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkConnectionPool sets kept connections beside a fresh one for each delivery.
func BenchmarkConnectionPool(b *testing.B) {
	url := startReceiver(b, receiverClear)
	fresh := unbounded()
	fresh.KeepAlive = -1
	for name, send := range map[string]sender{
		"pooled":   adapterSender(b, url, unbounded()),
		"unpooled": adapterSender(b, url, fresh),
	} {
		b.Run(name, func(b *testing.B) {
			load(b, 2*benchConcurrency, send)
			b.ResetTimer()
			_, cpu := load(b, b.N, send)
			b.ReportMetric(float64(cpu.Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}
