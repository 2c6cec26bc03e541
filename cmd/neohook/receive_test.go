package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/neohook/neohook/signature"
	"github.com/neohook/neohook/webhook"
)

// running is a command that was started within the test.
type running struct {
	url    string
	out    *bufio.Reader
	stop   context.CancelFunc
	result <-chan int
}

// startReceive runs neohook receive on a free port until the test ends.
func startReceive(t *testing.T, terminal bool, args ...string) *running {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	outReader, out := io.Pipe()
	errReader, errs := io.Pipe()
	result := make(chan int, 1)
	go func() {
		args := append([]string{"receive", "--listen=127.0.0.1:0"}, args...)
		result <- run(ctx, args, nil, console{out: out, err: errs, terminal: terminal})
		_, _ = out.Close(), errs.Close()
	}()
	t.Cleanup(func() { stop(); _ = outReader.Close() })
	greeting, err := bufio.NewReader(errReader).ReadString('\n')
	if err != nil {
		t.Fatalf("receive said nothing: %v", err)
	}
	go func() { _, _ = io.Copy(io.Discard, errReader) }()
	_, after, _ := strings.Cut(greeting, "Receiving on ")
	url, _, found := strings.Cut(after, ",")
	if !found {
		t.Fatalf("receive said %q, want where it is", greeting)
	}
	return &running{url: url, out: bufio.NewReader(outReader), stop: stop, result: result}
}

// post sends a webhook signed with secret and returns the status answered. What the
// receiver prints must be read meanwhile.
func post(t *testing.T, url string, secret webhook.Secret, body string) <-chan int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if secret != "" {
		key, err := signature.Parse(secret)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		req.Header.Set(signature.HeaderID, "msg_1")
		req.Header.Set(signature.HeaderTimestamp, strconv.FormatInt(now.Unix(), 10))
		req.Header.Set(signature.HeaderSignature, signature.Sign([]signature.Key{key}, "msg_1", now, []byte(body)))
	}
	status := make(chan int, 1)
	go func() {
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			status <- 0
			return
		}
		_ = resp.Body.Close()
		status <- resp.StatusCode
	}()
	return status
}

func TestReceivePrintsALineOfJSONForEachWebhook(t *testing.T) {
	secret, other := signature.Generate(), signature.Generate()
	tests := map[string]struct {
		args       []string
		signed     webhook.Secret
		body       string
		wantStatus int
		want       reception
	}{
		"well signed": {
			args: []string{"--secret", string(secret)}, signed: secret, body: `{ "a":1 }`,
			wantStatus: 200, want: reception{ID: "msg_1", Signature: "valid", Body: `{ "a":1 }`},
		},
		"signed with the second secret": {
			args: []string{"--secret", string(other), "--secret", string(secret)}, signed: secret, body: "x",
			wantStatus: 200, want: reception{ID: "msg_1", Signature: "valid", Body: "x"},
		},
		"signed with another secret": {
			args: []string{"--secret", string(secret)}, signed: other, body: "{}",
			wantStatus: 401, want: reception{ID: "msg_1", Signature: "invalid", Problem: "no signature matches", Body: "{}"},
		},
		"not signed": {
			args: []string{"--secret", string(secret)}, body: "{}",
			wantStatus: 401, want: reception{Signature: "invalid", Problem: "signature headers are missing", Body: "{}"},
		},
		"no secret to check with": {
			body: "{}", wantStatus: 200, want: reception{Signature: "unchecked", Body: "{}"},
		},
		"misbehaving": {
			args: []string{"--status", "503"}, body: "{}",
			wantStatus: 503, want: reception{Signature: "unchecked", Body: "{}"},
		},
		"not text": {
			body: "\xff\x00", wantStatus: 200, want: reception{Signature: "unchecked", BodyBinary: []byte("\xff\x00")},
		},
		"too large": {
			args: []string{"--max-body", "4"}, body: "12345",
			wantStatus: 413, want: reception{Signature: "unchecked", Problem: "too large", Body: "1234"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			receiver := startReceive(t, false, test.args...)
			status := post(t, receiver.url+"/in?x=1", test.signed, test.body)
			line, err := receiver.out.ReadBytes('\n')
			if err != nil {
				t.Fatal(err)
			}
			var got reception
			if err := json.Unmarshal(line, &got); err != nil {
				t.Fatalf("%v in %s", err, line)
			}
			if !strings.Contains(got.Problem, test.want.Problem) || (got.Problem == "") != (test.want.Problem == "") {
				t.Errorf("problem is %q, want %q", got.Problem, test.want.Problem)
			}
			if got.ID != test.want.ID || got.Signature != test.want.Signature || got.Body != test.want.Body ||
				string(got.BodyBinary) != string(test.want.BodyBinary) || got.Status != test.wantStatus || got.Path != "/in?x=1" {
				t.Errorf("printed %s\nwant %+v", line, test.want)
			}
			if got := <-status; got != test.wantStatus {
				t.Errorf("answered %d, want %d", got, test.wantStatus)
			}
		})
	}
}

func TestReceiveLetsNothingOfAStrangerSteerTheTerminal(t *testing.T) {
	receiver := startReceive(t, true)
	status := post(t, receiver.url, "", "{\"a\": \"\x1b[2J\u009b2J\"}\nsecond \x07line")
	var printed strings.Builder
	for range 3 {
		line, err := receiver.out.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		printed.WriteString(line)
	}
	if got := <-status; got != 200 {
		t.Errorf("answered %d, want 200", got)
	}
	for _, r := range printed.String() {
		if r != '\n' && (r < ' ' || r >= 0x7f && r < 0xa0) {
			t.Errorf("control character %U was printed in %q", r, printed.String())
		}
	}
	if !strings.Contains(printed.String(), "signature unchecked  answered 200") {
		t.Errorf("printed %q, want the verdict and the answer", printed.String())
	}
}

func TestReceiveEndsInsideADelay(t *testing.T) {
	receiver := startReceive(t, false, "--delay", "1h")
	status := post(t, receiver.url, "", "{}")
	if _, err := receiver.out.ReadString('\n'); err != nil { // it has the request
		t.Fatal(err)
	}
	receiver.stop()
	if code := <-receiver.result; code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if got := <-status; got != 200 {
		t.Errorf("the request in flight was answered %d, want 200", got)
	}
}

func TestReceiveRefusesWhatItCannotDo(t *testing.T) {
	taken := startReceive(t, false)
	tests := map[string]struct {
		args []string
		code int
		want string
	}{
		"port in use":  {[]string{"--listen", strings.TrimPrefix(taken.url, "http://")}, 1, "is in use by another program; choose another with --listen"},
		"bad secret":   {[]string{"--secret", "whsec_!"}, 2, "--secret:"},
		"bad status":   {[]string{"--status", "100"}, 2, "--status: \"100\" is not a status from 200 to 599"},
		"bad delay":    {[]string{"--delay=-1s"}, 2, "--delay: \"-1s\" is not a time"},
		"no such host": {[]string{"--listen", "192.0.2.1:0"}, 1, "address 192.0.2.1:0 can't be listened on"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var out, errs strings.Builder
			code := run(t.Context(), append([]string{"receive"}, test.args...), nil, console{out: &out, err: &errs})
			said := errs.String()
			if code != test.code || !strings.Contains(said, test.want) || strings.Count(said, "\n") != 1 {
				t.Errorf("exit code %d and %q,\nwant %d and one line with %q", code, said, test.code, test.want)
			}
			if strings.Contains(said, "whsec_!") {
				t.Errorf("the secret is shown: %q", said)
			}
		})
	}
}

func TestLongBodiesAreCutForPeople(t *testing.T) {
	text := indented(reception{Body: strings.Repeat("ä", maxPrinted)})
	if len(text) > maxPrinted+100 || !strings.Contains(text, "bytes more") || strings.ContainsRune(text, '\uFFFD') {
		t.Errorf("%d bytes are shown, ending in %q", len(text), text[len(text)-40:])
	}
}
