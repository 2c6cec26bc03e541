package sqsadapter_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/neohook/neohook/adapter/sqsadapter"
	"github.com/neohook/neohook/webhook"
)

func TestWhatSQSAnswersIsNamed(t *testing.T) {
	for name, test := range map[string]struct {
		status int
		code   string
		want   webhook.FaultCode
		as     int // the StatusCode that is told
	}{
		"no such queue":                {400, "QueueDoesNotExist", sqsadapter.FaultNoSuchQueue, 400},
		"no such queue, older":         {400, "AWS.SimpleQueueService.NonExistentQueue", sqsadapter.FaultNoSuchQueue, 400},
		"a queue just deleted":         {400, "QueueDeletedRecently", sqsadapter.FaultNoSuchQueue, 400},
		"an address of no queue":       {404, "InvalidAddress", sqsadapter.FaultNoSuchQueue, 404},
		"no right":                     {403, "AccessDenied", sqsadapter.FaultAccessDenied, 403},
		"no right, newer":              {400, "AccessDeniedException", sqsadapter.FaultAccessDenied, 400},
		"forbidden, who knows why":     {403, "SomethingNew", sqsadapter.FaultAccessDenied, 403},
		"a key that is not known":      {403, "InvalidClientTokenId", sqsadapter.FaultCredentials, 403},
		"a token out of its time":      {403, "ExpiredToken", sqsadapter.FaultCredentials, 403},
		"a signature that is not ours": {403, "SignatureDoesNotMatch", sqsadapter.FaultCredentials, 403},
		"a KMS key that is disabled":   {400, "KmsDisabled", sqsadapter.FaultEncryptionKey, 400},
		"a KMS key that is not ours":   {400, "KMS.AccessDeniedException", sqsadapter.FaultEncryptionKey, 400},
		"throttled":                    {400, "ThrottlingException", sqsadapter.FaultThrottled, 429},
		"throttled, older":             {403, "RequestThrottled", sqsadapter.FaultThrottled, 429},
		"throttled by KMS":             {400, "KMS.ThrottlingException", sqsadapter.FaultThrottled, 429},
		"throttled, by the status":     {429, "SomethingNew", sqsadapter.FaultThrottled, 429},
		"slow down":                    {503, "SlowDown", sqsadapter.FaultThrottled, 429},
		"a character that is not":      {400, "InvalidMessageContents", webhook.FaultInvalidRequest, 400},
		"over the queue's own limit":   {400, "InvalidParameterValue", webhook.FaultInvalidRequest, 400},
		"failing":                      {500, "InternalFailure", sqsadapter.FaultUnavailable, 500},
		"away":                         {503, "ServiceUnavailable", sqsadapter.FaultUnavailable, 503},
		"something new":                {418, "SomethingNew", webhook.FaultOther, 418},
	} {
		t.Run(name, func(t *testing.T) {
			server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "7")
				refuse(w, test.status, test.code, "what Amazon says")
			})
			adapter := open(t, sqsadapter.Options{}, server)
			r := adapter.Deliver(t.Context(), delivery(`{}`), server.endpoint("events"))
			checkFault(t, r, webhook.FaultAnswered, test.want, test.as)
			if r.RetryAfter != 7*time.Second || string(r.Body) != r.Fault.Message || http.Header(r.Header).Get("Retry-After") != "7" {
				t.Errorf("retry after = %v, body = %q, header = %v", r.RetryAfter, r.Body, r.Header)
			}
			if !strings.Contains(r.Fault.Message, test.code) {
				t.Errorf("message = %q, want Amazon's code in it", r.Fault.Message)
			}
			var told map[string]any
			if text, _ := json.Marshal(r); json.Unmarshal(text, &told) != nil || told["error"] != "http_error" || told["error_message"] != r.Fault.Message {
				t.Errorf("as JSON %v", told)
			}
			if want := map[bool]uint64{true: 1}[test.as == 429]; adapter.Stats().Throttled != want || adapter.Stats().Failed != 1 {
				t.Errorf("stats = %+v", adapter.Stats())
			}
		})
	}
}

// Amazon quotes the request, its session token too, where a signature is wrong.
func TestTheSessionTokenIsNotTold(t *testing.T) {
	for _, code := range []string{"SignatureDoesNotMatch", "InvalidSignatureException", "SomethingNew"} {
		server := serve(t, func(w http.ResponseWriter, r *http.Request) {
			refuse(w, 403, code, "The Canonical String should have been …x-amz-security-token:"+r.Header.Get("X-Amz-Security-Token"))
		})
		adapter := open(t, sqsadapter.Options{}, server)
		r := adapter.Deliver(t.Context(), delivery(`{}`), server.endpoint("events"))
		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		told := fmt.Sprint(string(text), r.ErrorMessage(), r.Fault.Cause)
		if server.requests[0].Header.Get("X-Amz-Security-Token") != sessionToken {
			t.Fatal("the request has no session token")
		}
		if strings.Contains(told, sessionToken) {
			t.Errorf("%s: the session token is in %s", code, told)
		}
	}
}

func TestALongAnswerIsCut(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		refuse(w, 400, "SomethingNew", strings.Repeat("€", 5000))
	})
	adapter := open(t, sqsadapter.Options{}, server)
	r := adapter.Deliver(t.Context(), delivery(`{}`), server.endpoint("events"))
	checkFault(t, r, webhook.FaultAnswered, webhook.FaultOther, 400)
	if len(r.Fault.Message) > 1200 || !strings.HasSuffix(r.Fault.Message, "€…") {
		t.Errorf("the message has %d bytes and ends in %q", len(r.Fault.Message), r.Fault.Message[len(r.Fault.Message)-8:])
	}
}

func TestAnswersThatAreNotOfSQS(t *testing.T) {
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		kind   webhook.FaultKind
		code   webhook.FaultCode
		status int
	}{
		"a page of a gateway": {
			func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502); fmt.Fprint(w, "<html>") },
			webhook.FaultAnswered, sqsadapter.FaultUnavailable, 502},
		"500 and nothing": {
			func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
			webhook.FaultAnswered, sqsadapter.FaultUnavailable, 500},
		"200 and nothing": {
			func(http.ResponseWriter, *http.Request) {}, webhook.FaultClient, webhook.FaultMalformedResponse, 200},
		"200 and a page": {
			func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
			webhook.FaultClient, webhook.FaultMalformedResponse, 200},
		"200 and no message id": {
			func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") },
			webhook.FaultClient, webhook.FaultMalformedResponse, 200},
		"the digest of another body": {
			func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprint(w, `{"MessageId":"1","MD5OfMessageBody":"d41d8cd98f00b204e9800998ecf8427e"}`)
			}, webhook.FaultClient, webhook.FaultMalformedResponse, 200},
		"an answer that is cut off": {
			func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "100")
				fmt.Fprint(w, `{"Mess`)
			}, webhook.FaultClient, webhook.FaultReset, 200},
		"a reset": {
			func(w http.ResponseWriter, _ *http.Request) {
				conn, _, _ := http.NewResponseController(w).Hijack()
				_ = conn.(*net.TCPConn).SetLinger(0)
				_ = conn.Close()
			}, webhook.FaultClient, webhook.FaultReset, 0},
		"an endless answer": {
			func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprint(w, `{"MessageId":"`)
				for r.Context().Err() == nil {
					if _, err := fmt.Fprint(w, strings.Repeat("x", 64<<10)); err != nil {
						return
					}
				}
			}, webhook.FaultClient, webhook.FaultBodyTooLarge, 200},
		"an answer that does not end": {
			func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprint(w, `{"MessageId":"`)
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			}, webhook.FaultTimeout, webhook.FaultBodyTooSlow, 200},
	} {
		t.Run(name, func(t *testing.T) {
			server := serve(t, test.answer)
			adapter := open(t, sqsadapter.Options{}, server)
			endpoint := server.endpoint("events")
			if test.kind == webhook.FaultTimeout {
				endpoint.Timeout = 100 * time.Millisecond
			}
			checkFault(t, adapter.Deliver(t.Context(), delivery(`{}`), endpoint), test.kind, test.code, test.status)
		})
	}
}

func TestNoAnswer(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secure.Close)
	trusting := secure.Client().Transport.(*http.Transport).Clone()
	trusting.TLSClientConfig.RootCAs = x509.NewCertPool()
	trusting.TLSClientConfig.RootCAs.AddCert(secure.Certificate())
	failing := func(err error) *http.Transport {
		return &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, err }}
	}
	_, port, _ := net.SplitHostPort(secure.Listener.Addr().String())

	for name, test := range map[string]struct {
		url       string
		transport *http.Transport
		kind      webhook.FaultKind
		code      webhook.FaultCode
	}{
		"nothing listens":             {gone.URL, nil, webhook.FaultClient, webhook.FaultRefused},
		"no such host":                {"http://sqs.invalid", failing(&net.DNSError{IsNotFound: true}), webhook.FaultClient, webhook.FaultDNS},
		"a look-up without an answer": {"http://sqs.invalid", failing(&net.DNSError{IsTimeout: true}), webhook.FaultTimeout, webhook.FaultDNS},
		"no way":                      {"http://sqs.invalid", failing(syscall.ENETUNREACH), webhook.FaultClient, webhook.FaultUnreachable},
		"no policy for it":            {"http://sqs.invalid", failing(blockedError{}), webhook.FaultClient, webhook.FaultBlockedAddress},
		"something new":               {"http://sqs.invalid", failing(errors.New("something new")), webhook.FaultClient, webhook.FaultOther},
		"an unknown authority":        {secure.URL, nil, webhook.FaultClient, webhook.FaultTLSUnknownAuthority},
		"another host's certificate":  {"https://localhost:" + port, trusting, webhook.FaultClient, webhook.FaultTLSHostname},
		"no TLS":                      {strings.Replace(plain.URL, "http", "https", 1), nil, webhook.FaultClient, webhook.FaultTLSNotSpoken},
	} {
		t.Run(name, func(t *testing.T) {
			c := config()
			if test.transport != nil {
				c.HTTPClient = &http.Client{Transport: test.transport}
			}
			adapter := open(t, sqsadapter.Options{Config: c, AllowedEndpoints: []string{test.url}})
			r := adapter.Deliver(t.Context(), delivery(`{}`), &webhook.Endpoint{ID: "ep_1", URL: test.url + "/123456789012/events"})
			checkFault(t, r, test.kind, test.code, 0)
			if r.Fault.Cause == nil {
				t.Error("there is no cause")
			}
		})
	}
}

type blockedError struct{}

func (blockedError) Error() string { return "blocked" }
func (blockedError) Blocked() bool { return true }

func TestConnectingTakesTheTimeoutAtMost(t *testing.T) {
	never := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	c := config()
	c.HTTPClient = &http.Client{Transport: never}
	adapter := open(t, sqsadapter.Options{Config: c, Timeout: 30 * time.Millisecond, AllowedEndpoints: []string{"http://sqs.invalid"}})
	r := adapter.Deliver(t.Context(), delivery(`{}`), &webhook.Endpoint{URL: "http://sqs.invalid/123456789012/events"})
	if r.Success || r.Fault.Kind != webhook.FaultTimeout || r.StatusCode != 0 {
		t.Errorf("fault = %+v", r.Fault)
	}
}

func TestNoCredentials(t *testing.T) {
	server := serve(t, nil)
	for name, test := range map[string]struct {
		provide aws.CredentialsProviderFunc
		kind    webhook.FaultKind
	}{
		"refused": {func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{}, errors.New("the role arn:aws:iam::123456789012:role/x can't be assumed")
		}, webhook.FaultClient},
		"none in time": {func(ctx context.Context) (aws.Credentials, error) {
			<-ctx.Done()
			return aws.Credentials{}, ctx.Err()
		}, webhook.FaultTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			c := config()
			c.Credentials = test.provide
			adapter := open(t, sqsadapter.Options{Config: c, Timeout: 50 * time.Millisecond}, server)
			r := adapter.Deliver(t.Context(), delivery(`{}`), server.endpoint("events"))
			checkFault(t, r, test.kind, sqsadapter.FaultCredentials, 0)
			if strings.Contains(r.Fault.Message, "arn:") || r.Fault.Phase != webhook.PhasePrepare {
				t.Errorf("message = %q in the phase %q", r.Fault.Message, r.Fault.Phase)
			}
		})
	}
	if n := server.came(); n != 0 {
		t.Errorf("%d requests without credentials", n)
	}
}
