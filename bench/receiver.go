package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// receiveCommand is the argument with which this program starts itself as the receiver.
const receiveCommand = "receive"

// arrivals is what the receiver has seen so far.
type arrivals struct {
	Requests int `json:"requests"`
	Distinct int `json:"distinct"`
	// Altered counts bodies that are not what their own checksum says.
	Altered int `json:"altered"`
	// Last is when the latest new event came, in Unix nanoseconds.
	Last int64 `json:"last"`
	// Took holds publish-to-arrival times of new events, in nanoseconds, as far as they
	// were asked for.
	Took []int64 `json:"took,omitempty"`
}

// receiver counts events by the number in their payload.
type receiver struct {
	mu   sync.Mutex
	seen map[int64]bool
	now  arrivals
}

// receive serves on a free port of loopback, whose address it prints, and answers each
// line of in with what has arrived since the last "reset" line.
func receive(in io.Reader, out io.Writer) error {
	r := &receiver{seen: make(map[int64]bool)}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: r, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	encoder := json.NewEncoder(out)
	if err := encoder.Encode(listener.Addr().String()); err != nil {
		return err
	}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		r.mu.Lock()
		if lines.Text() == "reset" {
			r.now, r.seen = arrivals{}, make(map[int64]bool)
		}
		now := r.now
		if lines.Text() != "took" {
			now.Took = nil
		}
		r.mu.Unlock()
		if err := encoder.Encode(now); err != nil {
			return err
		}
	}
	return lines.Err()
}

const (
	hangPath  = "/hang/"  // where the receiver never answers, and counts nothing
	otherPath = "/other/" // where it answers, and counts nothing
	slowPath  = "/slow/"  // where it takes its time
	// slowness is how much.
	slowness = 100 * time.Millisecond
)

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return
	}
	if strings.HasPrefix(request.URL.Path, hangPath) {
		<-request.Context().Done()
		return
	}
	if strings.HasPrefix(request.URL.Path, otherPath) {
		return
	}
	at := time.Now()
	number, sent, err := openPayload(body)
	r.mu.Lock()
	r.now.Requests++
	switch {
	case err != nil:
		r.now.Altered++
	case !r.seen[number]:
		r.seen[number] = true
		r.now.Distinct++
		r.now.Last = at.UnixNano()
		r.now.Took = append(r.now.Took, at.UnixNano()-sent)
	}
	r.mu.Unlock()
	if strings.HasPrefix(request.URL.Path, slowPath) {
		time.Sleep(slowness)
	}
	w.WriteHeader(http.StatusNoContent)
}

// makePayload returns a JSON object of about size bytes that carries its number, the
// time, and a checksum of all that.
func makePayload(number int64, size int) []byte {
	text := fmt.Sprintf(`{"number":%d,"sent":%d,"padding":"%0*d"`, number, time.Now().UnixNano(), max(1, size-140), number)
	sum := sha256.Sum256([]byte(text))
	return fmt.Appendf(nil, `%s,"sum":"%x"}`, text, sum)
}

func openPayload(body []byte) (number, sent int64, err error) {
	var fields struct {
		Number, Sent int64
		Sum          string
	}
	if err := json.Unmarshal(body, &fields); err != nil {
		return 0, 0, err
	}
	tail := len(`,"sum":""}`) + len(fields.Sum)
	if len(body) < tail || fmt.Sprintf("%x", sha256.Sum256(body[:len(body)-tail])) != fields.Sum {
		return 0, 0, errors.New("checksum differs")
	}
	return fields.Number, fields.Sent, nil
}
