package sqsadapter_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"

	"github.com/neohook/neohook/adapter/sqsadapter"
	"github.com/neohook/neohook/webhook"
)

func TestAMessageIsThePayloadAndItsAttributes(t *testing.T) {
	server := serve(t, nil)
	adapter := open(t, sqsadapter.Options{}, server)
	endpoint := server.endpoint("events")
	endpoint.Headers = map[string]string{"X-Api-Key": "k", "Authorization": "Bearer t"}
	const payload = " {\"b\":1.10,\n\t\"a\":\"grü\u00df \\/ <&> €\U0001f600\"} \r\n"

	d := delivery(payload)
	d.Attempt = 3
	before := time.Now()
	r := adapter.Deliver(t.Context(), d, endpoint)
	if !r.Success || r.Fault != nil {
		t.Fatalf("the delivery failed: %s", r.ErrorMessage())
	}
	got := server.messages()[0]
	if got.Body != payload {
		t.Errorf("body = %q, want %q", got.Body, payload)
	}
	if got.QueueURL != endpoint.URL || got.Dedup != "" || got.Group != "" {
		t.Errorf("queue = %q, deduplication = %q, group = %q; want %q and neither", got.QueueURL, got.Dedup, got.Group, endpoint.URL)
	}
	values := map[string]string{}
	for name, attribute := range got.Attributes {
		values[name] = attribute.StringValue
		if attribute.DataType != "String" {
			t.Errorf("the attribute %s has the type %q", name, attribute.DataType)
		}
	}
	signature := values["webhook-signature"]
	delete(values, "webhook-signature")
	at, _ := strconv.ParseInt(values["webhook-timestamp"], 10, 64)
	if at < before.Unix() || at > time.Now().Unix() {
		t.Errorf("timestamp = %d, want the present", at)
	}
	delete(values, "webhook-timestamp")
	want := map[string]string{
		"webhook-id": "msg_1", "webhook-event-type": "invoice.paid", "X-Api-Key": "k", "Authorization": "Bearer t",
	}
	if !maps.Equal(values, want) {
		t.Errorf("attributes = %q, want %q", values, want)
	}
	if !strings.HasPrefix(signature, "v1,") {
		t.Errorf("signature = %q", signature)
	}
}

func TestTheResultTellsWhatTheQueueSaid(t *testing.T) {
	server := serve(t, nil)
	adapter := open(t, sqsadapter.Options{}, server)
	d := delivery(`{}`)
	d.Attempt = 3
	first := adapter.Deliver(t.Context(), d, server.endpoint("events.fifo"))
	second := adapter.Deliver(t.Context(), d, server.endpoint("events.fifo"))
	if first.Attempt != 3 || first.Method != "POST" || first.URL != server.URL+"/123456789012/events.fifo" || first.StatusCode != 200 {
		t.Errorf("result = %+v", first)
	}
	header := http.Header(first.Header)
	if id, number := header.Get(sqsadapter.HeaderMessageID), header.Get(sqsadapter.HeaderSequenceNumber); id != "message-1" || number != "1001" {
		t.Errorf("message id = %q, sequence number = %q", id, number)
	}
	if got, want := string(first.Body), `{"MessageId":"message-1","SequenceNumber":"1001"}`; got != want {
		t.Errorf("body = %s, want %s", got, want)
	}
	if first.ConnectionReused || !second.ConnectionReused {
		t.Errorf("reused = %v then %v, want a connection that is opened and then reused", first.ConnectionReused, second.ConnectionReused)
	}
	if second.Timings.Connect != 0 || first.Timings.Connect == 0 || first.Timings.FirstByte == 0 || first.Timings.Total == 0 {
		t.Errorf("timings = %+v then %+v", first.Timings, second.Timings)
	}
	if first.BytesSent < 100 || first.BytesReceived < 50 || first.Protocol != "HTTP/1.1" || !first.RemoteAddr.IsValid() {
		t.Errorf("sent %d and received %d bytes over %s to %v", first.BytesSent, first.BytesReceived, first.Protocol, first.RemoteAddr)
	}
}

func TestAFIFOQueueGetsTheEventsIDAndTheEndpoints(t *testing.T) {
	server := serve(t, nil)
	adapter := open(t, sqsadapter.Options{}, server)
	adapter.Deliver(t.Context(), delivery(`{}`), server.endpoint("events.fifo"))
	if got := server.messages()[0]; got.Dedup != "msg_1" || got.Group != "ep_1" {
		t.Errorf("deduplication = %q, group = %q; want msg_1 and ep_1", got.Dedup, got.Group)
	}
}

func TestNoSignatureWithoutASecret(t *testing.T) {
	server := serve(t, nil)
	adapter := open(t, sqsadapter.Options{}, server)
	endpoint := server.endpoint("events")
	endpoint.Secret = ""
	d := delivery(`{}`)
	d.EventType = ""
	if r := adapter.Deliver(t.Context(), d, endpoint); !r.Success {
		t.Fatal(r.ErrorMessage())
	}
	if got, want := slices.Sorted(maps.Keys(server.messages()[0].Attributes)), []string{"webhook-id", "webhook-timestamp"}; !slices.Equal(got, want) {
		t.Errorf("attributes = %q, want %q", got, want)
	}
}

func TestWhatSQSDoesNotTakeIsSentAsBase64(t *testing.T) {
	server := serve(t, nil)
	adapter := open(t, sqsadapter.Options{}, server)
	for name, test := range map[string]struct {
		payload string
		encoded bool
	}{
		"tab, line feed and carriage return": {"\t\n\r", false},
		"the characters at the borders":      {" \u007f\ud7ff\ue000\ufffd\U00010000\U0010ffff", false},
		"NUL":                                {"a\x00b", true},
		"escape":                             {"\x1b[0m", true},
		"the last control character":         {"\x1f", true},
		"U+FFFE":                             {"\"\ufffe\"", true},
		"U+FFFF":                             {"\"\uffff\"", true},
		"not UTF-8":                          {"\xff\xfe", true},
		"half a character":                   {"\xe2\x82", true},
		"a surrogate":                        {"\xed\xa0\x80", true},
	} {
		t.Run(name, func(t *testing.T) {
			if r := adapter.Deliver(t.Context(), delivery(test.payload), server.endpoint("events")); !r.Success {
				t.Fatal(r.ErrorMessage())
			}
			all := server.messages()
			got := all[len(all)-1]
			encoding, body := got.Attributes["webhook-encoding"].StringValue, got.Body
			if test.encoded {
				decoded, err := base64.StdEncoding.DecodeString(body)
				if encoding != "base64" || err != nil {
					t.Fatalf("encoding = %q, body = %q", encoding, body)
				}
				body = string(decoded)
			} else if encoding != "" {
				t.Errorf("encoding = %q, want none", encoding)
			}
			if body != test.payload {
				t.Errorf("body = %q, want %q", body, test.payload)
			}
		})
	}
}

func TestAMessageOverTheLimitIsNotSent(t *testing.T) {
	server := serve(t, nil)
	endpoint := server.endpoint("events")
	adapter := open(t, sqsadapter.Options{}, server)
	// What is counted beside the payload: names, types and values.
	adapter.Deliver(t.Context(), delivery("x"), endpoint)
	rest := 0
	for name, attribute := range server.messages()[0].Attributes {
		rest += len(name) + len(attribute.DataType) + len(attribute.StringValue)
	}
	const limit = 1_048_576 // https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
	for name, test := range map[string]struct {
		payload string
		opts    sqsadapter.Options
		limit   int
		fits    bool
	}{
		"as large as may be":           {strings.Repeat("x", limit-rest), sqsadapter.Options{}, limit, true},
		"a byte more":                  {strings.Repeat("x", limit-rest+1), sqsadapter.Options{}, limit, false},
		"characters count as bytes":    {strings.Repeat("€", limit/3), sqsadapter.Options{}, limit, false},
		"base64 counts":                {strings.Repeat("\x00", limit*4/5), sqsadapter.Options{}, limit, false},
		"a lower limit":                {strings.Repeat("x", 1000-rest), sqsadapter.Options{MaxMessageBytes: 1000}, 1000, true},
		"a byte more than a lower one": {strings.Repeat("x", 1001-rest), sqsadapter.Options{MaxMessageBytes: 1000}, 1000, false},
	} {
		t.Run(name, func(t *testing.T) {
			adapter, before := open(t, test.opts, server), server.came()
			r := adapter.Deliver(t.Context(), delivery(test.payload), endpoint)
			if r.Success != test.fits || server.came() != before+map[bool]int{true: 1}[test.fits] {
				t.Fatalf("success = %v after %d requests (%s), want %v", r.Success, server.came()-before, r.ErrorMessage(), test.fits)
			}
			if test.fits {
				return
			}
			checkFault(t, r, webhook.FaultClient, webhook.FaultMessageTooLarge, 0)
			if !strings.Contains(r.Fault.Message, fmt.Sprintf("limit of %d", test.limit)) {
				t.Errorf("message = %q, want the limit in it", r.Fault.Message)
			}
		})
	}
}

func TestWhatCannotBeAMessageIsRefused(t *testing.T) {
	server := serve(t, nil)
	adapter := open(t, sqsadapter.Options{}, server)
	headers := func(n int) map[string]string {
		made := map[string]string{}
		for i := range n {
			made["X-"+strconv.Itoa(i)] = "v"
		}
		return made
	}
	for name, test := range map[string]struct {
		delivery func(*webhook.Delivery)
		endpoint func(*webhook.Endpoint)
		says     string
	}{
		"an empty payload":          {delivery: func(d *webhook.Delivery) { d.Payload = []byte{} }, says: "empty"},
		"no id":                     {delivery: func(d *webhook.Delivery) { d.Event, d.ID = "", "" }, says: "neither"},
		"a space in an id of FIFO":  {delivery: func(d *webhook.Delivery) { d.Event = "a b" }, says: "deduplication"},
		"a long id of FIFO":         {delivery: func(d *webhook.Delivery) { d.Event = webhook.EventID(strings.Repeat("a", 129)) }, says: "128"},
		"no endpoint's id":          {endpoint: func(e *webhook.Endpoint) { e.ID = "" }, says: "no ID"},
		"an endpoint's id in kanji": {endpoint: func(e *webhook.Endpoint) { e.ID = "漢" }, says: "message group"},
		"a NUL in the type":         {delivery: func(d *webhook.Delivery) { d.EventType = "a\x00" }, says: "webhook-event-type"},
		"a NUL in a header":         {endpoint: func(e *webhook.Endpoint) { e.Headers = map[string]string{"X": "sesame\x00"} }, says: "headers.X"},
		"an empty header":           {endpoint: func(e *webhook.Endpoint) { e.Headers = map[string]string{"X": ""} }, says: "headers.X"},
		"a header of ours":          {endpoint: func(e *webhook.Endpoint) { e.Headers = map[string]string{"Webhook-Id": "sesame"} }, says: "reserved"},
		"a header of Amazon's":      {endpoint: func(e *webhook.Endpoint) { e.Headers = map[string]string{"AWS.Trace": "sesame"} }, says: "reserved"},
		"a header with a bang":      {endpoint: func(e *webhook.Endpoint) { e.Headers = map[string]string{"X!": "sesame"} }, says: "headers.X!"},
		"a header with two dots":    {endpoint: func(e *webhook.Endpoint) { e.Headers = map[string]string{"X..Y": "sesame"} }, says: "headers.X..Y"},
		"seven headers":             {endpoint: func(e *webhook.Endpoint) { e.Headers = headers(7) }, says: "SQS takes 10"},
		"a secret that is none":     {endpoint: func(e *webhook.Endpoint) { e.Secret = "whsec_sesame" }, says: "the secret"},
		"a URL that is none":        {endpoint: func(e *webhook.Endpoint) { e.URL = "sesame" }, says: "not a queue's"},
		"a URL with a password":     {endpoint: func(e *webhook.Endpoint) { e.URL = strings.Replace(e.URL, "//", "//user:sesame@", 1) }, says: "more than a queue's"},
	} {
		t.Run(name, func(t *testing.T) {
			d, endpoint := delivery(`{"a":"sesame"}`), server.endpoint("events.fifo")
			if test.delivery != nil {
				test.delivery(d)
			}
			if test.endpoint != nil {
				test.endpoint(endpoint)
			}
			r := adapter.Deliver(t.Context(), d, endpoint)
			checkFault(t, r, webhook.FaultClient, webhook.FaultInvalidRequest, 0)
			if !strings.Contains(r.Fault.Message, test.says) || strings.Contains(r.Fault.Message, "sesame") {
				t.Errorf("message = %q, want %q in it and not what was given", r.Fault.Message, test.says)
			}
		})
	}
	if n := server.came(); n != 0 {
		t.Errorf("%d requests were made", n)
	}
	if got := adapter.Stats().Refused; got != 17 {
		t.Errorf("refused = %d, want 17", got)
	}
	endpoint := server.endpoint("events")
	endpoint.Headers = headers(6)
	if r := adapter.Deliver(t.Context(), delivery(`{}`), endpoint); !r.Success {
		t.Errorf("with ten attributes: %s", r.ErrorMessage())
	}
}

func TestTheSDKsRetriesAreOff(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) { refuse(w, 503, "ServiceUnavailable", "") })
	c := config()
	c.RetryMaxAttempts, c.RetryMode = 5, aws.RetryModeAdaptive
	adapter := open(t, sqsadapter.Options{Config: c}, server)
	checkFault(t, adapter.Deliver(t.Context(), delivery(`{}`), server.endpoint("events")),
		webhook.FaultAnswered, sqsadapter.FaultUnavailable, 503)
	if n := server.came(); n != 1 {
		t.Errorf("%d requests for one attempt", n)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	canary := serve(t, nil)
	for name, client := range map[string]aws.HTTPClient{
		"its own client":  nil,
		"the SDK's":       awshttp.NewBuildableClient(),
		"the library's":   &http.Client{},
		"one that is any": anyClient{&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}},
	} {
		t.Run(name, func(t *testing.T) {
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, canary.URL+"/123456789012/events", http.StatusTemporaryRedirect)
			})
			c := config()
			c.HTTPClient = client
			adapter := open(t, sqsadapter.Options{Config: c}, server)
			r := adapter.Deliver(t.Context(), delivery(`{}`), server.endpoint("events"))
			if r.Success || r.StatusCode != http.StatusTemporaryRedirect {
				t.Errorf("success = %v, status = %d", r.Success, r.StatusCode)
			}
			if r := adapter.Deliver(t.Context(), delivery(`{}`), canary.endpoint("events")); r.Success || r.Fault.Code != webhook.FaultBlockedAddress {
				t.Errorf("the canary itself may be sent to: %+v", r.Fault)
			}
		})
	}
	if n := canary.came(); n != 0 {
		t.Errorf("%d requests were redirected, with the session token", n)
	}
}

type anyClient struct{ client *http.Client }

func (c anyClient) Do(req *http.Request) (*http.Response, error) { return c.client.Do(req) }

// The queue's URL names the host, and nothing else does.
func TestTheSDKsEndpointSettingsHaveNoSay(t *testing.T) {
	server, canary := serve(t, nil), serve(t, nil)
	t.Setenv("AWS_ENDPOINT_URL", canary.URL)
	t.Setenv("AWS_ENDPOINT_URL_SQS", canary.URL)
	c := config()
	c.BaseEndpoint = &canary.URL
	//nolint:staticcheck // deprecated, and still heeded by the SDK if set
	c.EndpointResolver = aws.EndpointResolverFunc(func(string, string) (aws.Endpoint, error) { return aws.Endpoint{URL: canary.URL}, nil })
	adapter := open(t, sqsadapter.Options{Config: c}, server)
	if r := adapter.Deliver(t.Context(), delivery(`{}`), server.endpoint("events")); !r.Success {
		t.Error(r.ErrorMessage())
	}
	if n := canary.came(); n != 0 || server.came() != 1 {
		t.Errorf("%d requests went to the SDK's endpoint and %d to the queue's", n, server.came())
	}
}

func TestRequestsAreSignedForTheQueuesRegion(t *testing.T) {
	server := serve(t, nil)
	adapter := open(t, sqsadapter.Options{}, server)
	adapter.Deliver(t.Context(), delivery(`{}`), server.endpoint("events"))
	if got := server.requests[0].Header.Get("Authorization"); !strings.Contains(got, "/eu-central-1/sqs/aws4_request") {
		t.Errorf("authorization = %q", got)
	}
}

func TestAllowTiesQueuesToTenants(t *testing.T) {
	server := serve(t, nil)
	var asked []sqsadapter.Queue
	adapter := open(t, sqsadapter.Options{
		Queues: []string{"123456789012/acme-*", "123456789012/shared"},
		Allow: func(endpoint *webhook.Endpoint, queue sqsadapter.Queue) error {
			asked = append(asked, queue)
			if endpoint.Tenant != "acme" {
				return errors.New("it is another tenant's")
			}
			return nil
		},
	}, server)
	for name, test := range map[string]struct {
		tenant webhook.TenantID
		queue  string
		want   bool
	}{
		"its own":                     {"acme", "acme-events.fifo", true},
		"shared":                      {"acme", "shared", true},
		"another's queue":             {"other", "acme-events", false},
		"a queue that is not listed":  {"acme", "billing", false},
		"a queue that begins like it": {"acme", "shared2", false},
	} {
		endpoint := server.endpoint(test.queue)
		endpoint.Tenant = test.tenant
		for what, r := range map[string]webhook.Result{
			"Deliver": adapter.Deliver(t.Context(), delivery(`{}`), endpoint),
			"Verify":  adapter.Verify(t.Context(), endpoint, nil),
		} {
			if r.Success != test.want || !test.want && r.Fault.Code != webhook.FaultBlockedAddress {
				t.Errorf("%s, %s: success = %v (%s), want %v", name, what, r.Success, r.ErrorMessage(), test.want)
			}
		}
	}
	want := sqsadapter.Queue{
		URL: server.URL + "/123456789012/shared", Endpoint: server.URL, Region: "eu-central-1", Account: "123456789012", Name: "shared",
	}
	if !slices.Contains(asked, want) {
		t.Errorf("asked for %+v, want %+v among them", asked, want)
	}
}

func TestOptionsThatAreRefused(t *testing.T) {
	valid := sqsadapter.Options{Config: config(), Queues: []string{"*/*"}}
	if _, err := sqsadapter.New(valid); err != nil {
		t.Fatal(err)
	}
	for says, change := range map[string]func(*sqsadapter.Options){
		"Credentials":         func(o *sqsadapter.Options) { o.Config.Credentials = nil },
		"Queues is empty":     func(o *sqsadapter.Options) { o.Queues = nil },
		`"[" is not`:          func(o *sqsadapter.Options) { o.Queues = []string{"["} },
		`"*" is not`:          func(o *sqsadapter.Options) { o.Queues = []string{"*"} },
		"Timeout":             func(o *sqsadapter.Options) { o.Timeout = -1 },
		"MaxMessageBytes":     func(o *sqsadapter.Options) { o.MaxMessageBytes = 1<<20 + 1 },
		"Region":              func(o *sqsadapter.Options) { o.Config.Region = "eu-central-1.example.com/" },
		"AllowedEndpoints[0]": func(o *sqsadapter.Options) { o.AllowedEndpoints = []string{"127.0.0.1:9324"} },
		"AllowedEndpoints[1]": func(o *sqsadapter.Options) {
			o.AllowedEndpoints = []string{"http://127.0.0.1:9324", "http://127.0.0.1:9324/queue"}
		},
		"HealthQueue": func(o *sqsadapter.Options) { o.HealthQueue = "https://example.com/123456789012/a" },
	} {
		opts := valid
		change(&opts)
		if _, err := sqsadapter.New(opts); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("err = %v, want one about %s", err, says)
		}
	}
}

func TestVerifyAsksAndThenSends(t *testing.T) {
	server := serve(t, nil)
	adapter := open(t, sqsadapter.Options{}, server)
	r := adapter.Verify(t.Context(), server.endpoint("events.fifo"), nil)
	if !r.Success || http.Header(r.Header).Get(sqsadapter.HeaderMaximumMessageSize) != "262144" {
		t.Fatalf("success = %v (%s), header = %v", r.Success, r.ErrorMessage(), r.Header)
	}
	var event struct {
		EventType string    `json:"event_type"`
		Timestamp time.Time `json:"timestamp"`
		Data      struct{ Test bool }
	}
	message := server.messages()[0]
	if err := json.Unmarshal([]byte(message.Body), &event); err != nil || event.EventType != "verification.test" || !event.Data.Test || event.Timestamp.IsZero() {
		t.Errorf("the verification event is %s", message.Body)
	}
	if got := message.Attributes["webhook-event-type"].StringValue; got != "verification.test" {
		t.Errorf("type = %q", got)
	}
	adapter.Verify(t.Context(), server.endpoint("events.fifo"), []byte("custom"))
	if messages := server.messages(); messages[1].Body != "custom" || messages[1].Dedup == messages[0].Dedup {
		t.Errorf("the second verification is %+v", messages[1])
	}
}

func TestVerifyOfAQueueThatIsNotThereSendsNothing(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) { refuse(w, 400, "QueueDoesNotExist", "no such queue") })
	adapter := open(t, sqsadapter.Options{}, server)
	checkFault(t, adapter.Verify(t.Context(), server.endpoint("events"), nil), webhook.FaultAnswered, sqsadapter.FaultNoSuchQueue, 400)
	if n := server.came(); n != 1 {
		t.Errorf("%d requests were made, want the question alone", n)
	}
}

func TestVerifyOfAQueueThatMayOnlyBeSentTo(t *testing.T) {
	server := serve(t, nil)
	server.answer = func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Amz-Target") == "AmazonSQS.GetQueueAttributes" {
			refuse(w, 403, "AccessDenied", "")
			return
		}
		fmt.Fprint(w, `{"MessageId":"1"}`)
	}
	adapter := open(t, sqsadapter.Options{}, server)
	if r := adapter.Verify(t.Context(), server.endpoint("events"), nil); !r.Success {
		t.Error(r.ErrorMessage())
	}
}

func TestHealth(t *testing.T) {
	server := serve(t, nil)
	queue := server.URL + "/123456789012/health"
	answers := func(status int, code string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { refuse(w, status, code, "") }
	}
	none := config()
	none.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, errors.New("no role")
	})
	for name, test := range map[string]struct {
		opts   sqsadapter.Options
		answer http.HandlerFunc
		want   webhook.HealthStatus
		says   string
	}{
		"credentials alone":        {sqsadapter.Options{}, nil, webhook.Healthy, ""},
		"no credentials":           {sqsadapter.Options{Config: none}, nil, webhook.Unhealthy, "no role"},
		"a queue":                  {sqsadapter.Options{HealthQueue: queue}, nil, webhook.Healthy, ""},
		"a queue, no credentials":  {sqsadapter.Options{Config: none, HealthQueue: queue}, nil, webhook.Unhealthy, "credentials"},
		"a queue that is gone":     {sqsadapter.Options{HealthQueue: queue}, answers(400, "QueueDoesNotExist"), webhook.Unhealthy, "QueueDoesNotExist"},
		"a queue that is closed":   {sqsadapter.Options{HealthQueue: queue}, answers(403, "AccessDenied"), webhook.Unhealthy, "AccessDenied"},
		"a queue that is too busy": {sqsadapter.Options{HealthQueue: queue}, answers(403, "RequestThrottled"), webhook.Degraded, "RequestThrottled"},
	} {
		t.Run(name, func(t *testing.T) {
			server.answer = test.answer
			adapter := open(t, test.opts, server)
			health := adapter.Health(t.Context())
			if reasons := strings.Join(health.Reasons, "; "); health.Status != test.want || !strings.Contains(reasons, test.says) || (test.says == "") != (reasons == "") {
				t.Errorf("health = %q for %q, want %q for %q", health.Status, reasons, test.want, test.says)
			}
			if _, ok := health.Details.(sqsadapter.Stats); !ok {
				t.Errorf("details = %T", health.Details)
			}
		})
	}
}

func TestManyAtOnce(t *testing.T) {
	server := serve(t, nil)
	adapter := open(t, sqsadapter.Options{}, server)
	const senders, each = 16, 8
	var wg sync.WaitGroup
	for sender := range senders {
		wg.Go(func() {
			for n := range each {
				endpoint := server.endpoint(fmt.Sprintf("events-%d.fifo", sender))
				if r := adapter.Deliver(t.Context(), delivery(fmt.Sprint(sender, "/", n)), endpoint); !r.Success {
					t.Error(r.ErrorMessage())
				}
				adapter.Health(t.Context())
			}
		})
	}
	wg.Wait()
	seen := map[string]int{}
	for _, message := range server.messages() {
		seen[message.Body]++
	}
	if len(seen) != senders*each {
		t.Errorf("%d different messages came, want %d", len(seen), senders*each)
	}
	if got := adapter.Stats(); got.Succeeded != senders*each || got.Failed != 0 || got.InFlight != 0 {
		t.Errorf("stats = %+v", got)
	}
}

// silent takes requests, says so, and answers none until the test ends.
func silent(t *testing.T) (server *queues, arrived <-chan struct{}) {
	came, over := make(chan struct{}, 10), make(chan struct{})
	server = serve(t, func(_ http.ResponseWriter, r *http.Request) {
		came <- struct{}{}
		select {
		case <-r.Context().Done():
		case <-over:
		}
	})
	t.Cleanup(func() { close(over) })
	return server, came
}

func TestTheContextEndsAnAttempt(t *testing.T) {
	server, arrived := silent(t)
	adapter := open(t, sqsadapter.Options{}, server)
	ctx, cancel := context.WithCancel(t.Context())
	results := make(chan webhook.Result, 1)
	go func() { results <- adapter.Deliver(ctx, delivery(`{}`), server.endpoint("events")) }()
	<-arrived
	cancel()
	checkFault(t, <-results, webhook.FaultClient, webhook.FaultCancelled, 0)

	before := server.came()
	checkFault(t, adapter.Deliver(ctx, delivery(`{}`), server.endpoint("events")), webhook.FaultClient, webhook.FaultCancelled, 0)
	if server.came() != before {
		t.Error("something was sent once the context had ended")
	}
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	checkFault(t, adapter.Deliver(late, delivery(`{}`), server.endpoint("events")), webhook.FaultTimeout, webhook.FaultCancelled, 0)
}

func TestTheTimeoutIsTheEndpointsOrTheAdapters(t *testing.T) {
	server, _ := silent(t)
	for name, test := range map[string]struct{ adapter, endpoint, want time.Duration }{
		"the adapter's":  {40 * time.Millisecond, 0, 40 * time.Millisecond},
		"the endpoint's": {time.Hour, 40 * time.Millisecond, 40 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			adapter := open(t, sqsadapter.Options{Timeout: test.adapter}, server)
			endpoint := server.endpoint("events")
			endpoint.Timeout = test.endpoint
			r := adapter.Deliver(t.Context(), delivery(`{}`), endpoint)
			checkFault(t, r, webhook.FaultTimeout, webhook.FaultResponseTimeout, 0)
			if r.Duration() < test.want || r.Fault.Phase != webhook.PhaseResponse {
				t.Errorf("it ended after %v in the phase %q", r.Duration(), r.Fault.Phase)
			}
		})
	}
}

func TestCloseEndsWhatIsInFlight(t *testing.T) {
	server, arrived := silent(t)
	adapter := open(t, sqsadapter.Options{}, server)
	results := make(chan webhook.Result, 2)
	for range 2 {
		go func() { results <- adapter.Deliver(t.Context(), delivery(`{}`), server.endpoint("events")) }()
	}
	<-arrived
	<-arrived
	if err := adapter.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		checkFault(t, <-results, webhook.FaultClient, webhook.FaultClosed, 0)
	}
	if err := adapter.Close(); err != nil {
		t.Error("a second Close:", err)
	}
	checkFault(t, adapter.Deliver(t.Context(), delivery(`{}`), server.endpoint("events")), webhook.FaultClient, webhook.FaultClosed, 0)
	checkFault(t, adapter.Verify(t.Context(), server.endpoint("events"), nil), webhook.FaultClient, webhook.FaultClosed, 0)
	if health := adapter.Health(t.Context()); health.Status != webhook.Unhealthy {
		t.Errorf("a closed adapter is %q", health.Status)
	}
}

func TestShutdownLetsWhatIsInFlightEnd(t *testing.T) {
	answer, arrived := make(chan struct{}), make(chan struct{})
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-answer
		fmt.Fprint(w, `{"MessageId":"1"}`)
	})
	adapter := open(t, sqsadapter.Options{}, server)
	results := make(chan webhook.Result, 1)
	go func() { results <- adapter.Deliver(t.Context(), delivery(`{}`), server.endpoint("events")) }()
	<-arrived
	ended := make(chan error, 1)
	go func() { ended <- adapter.Shutdown(t.Context()) }()
	close(answer)
	if r := <-results; !r.Success {
		t.Error(r.ErrorMessage())
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestShutdownIsBoundedByItsContext(t *testing.T) {
	server, arrived := silent(t)
	adapter := open(t, sqsadapter.Options{}, server)
	results := make(chan webhook.Result, 1)
	go func() { results <- adapter.Deliver(t.Context(), delivery(`{}`), server.endpoint("events")) }()
	<-arrived
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := adapter.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("err = %v", err)
	}
	checkFault(t, <-results, webhook.FaultClient, webhook.FaultClosed, 0)
}

func TestNilIsRefused(t *testing.T) {
	server := serve(t, nil)
	adapter := open(t, sqsadapter.Options{}, server)
	for _, r := range []webhook.Result{
		adapter.Deliver(t.Context(), nil, server.endpoint("events")),
		adapter.Deliver(t.Context(), delivery(`{}`), nil),
		adapter.Deliver(t.Context(), nil, nil),
		adapter.Verify(t.Context(), nil, nil),
	} {
		checkFault(t, r, webhook.FaultClient, webhook.FaultInvalidRequest, 0)
	}
}

func checkFault(t testing.TB, r webhook.Result, kind webhook.FaultKind, code webhook.FaultCode, status int) {
	t.Helper()
	if r.Success || r.Fault == nil {
		t.Fatalf("success = %v, fault = %v, want the fault %s", r.Success, r.Fault, code)
	}
	if r.Fault.Kind != kind || r.Fault.Code != code || r.StatusCode != status {
		t.Errorf("fault = %s/%s, status %d (%s); want %s/%s, %d\ncause: %v",
			r.Fault.Kind, r.Fault.Code, r.StatusCode, r.Fault.Message, kind, code, status, r.Fault.Cause)
	}
	if r.Fault.Message == "" || r.StartedAt.IsZero() || r.CompletedAt.Before(r.StartedAt) {
		t.Errorf("message = %q, from %v to %v", r.Fault.Message, r.StartedAt, r.CompletedAt)
	}
}

func TestConnectionsAreKept(t *testing.T) {
	server := serve(t, nil)
	adapter := open(t, sqsadapter.Options{}, server)
	for n := range 100 {
		if r := adapter.Deliver(t.Context(), delivery(`{}`), server.endpoint("events")); !r.Success || r.ConnectionReused != (n > 0) {
			t.Fatalf("delivery %d: success = %v, reused = %v", n, r.Success, r.ConnectionReused)
		}
	}
}

func TestCloseLeavesNoConnection(t *testing.T) {
	conns := make(chan http.ConnState, 100)
	server := &queues{}
	server.Server = httptest.NewUnstartedServer(server)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) { conns <- state }
	server.Start()
	t.Cleanup(server.Close)
	adapter := open(t, sqsadapter.Options{}, server)
	var wg sync.WaitGroup
	for range 5 {
		wg.Go(func() { adapter.Deliver(t.Context(), delivery(`{}`), server.endpoint("events")) })
	}
	wg.Wait()
	if err := adapter.Close(); err != nil {
		t.Fatal(err)
	}
	for opened, closed := 0, 0; closed == 0 || closed < opened; { // until the test's own end
		switch <-conns {
		case http.StateNew:
			opened++
		case http.StateClosed:
			closed++
		}
	}
}
