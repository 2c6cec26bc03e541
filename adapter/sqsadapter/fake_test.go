package sqsadapter_test

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/neohook/neohook/adapter/sqsadapter"
	"github.com/neohook/neohook/webhook"
)

// queues is an SQS that takes everything, or what answer says.
type queues struct {
	*httptest.Server
	// answer, where it is set, answers in place of taking.
	answer http.HandlerFunc

	mu       sync.Mutex
	taken    []sent
	requests []*http.Request
}

// sent is a message as it came over the wire.
type sent struct {
	QueueURL   string `json:"QueueUrl"`
	Body       string `json:"MessageBody"`
	Attributes map[string]struct{ DataType, StringValue string }
	Dedup      string `json:"MessageDeduplicationId"`
	Group      string `json:"MessageGroupId"`
}

func (s *sent) UnmarshalJSON(text []byte) error {
	type plain sent
	both := struct {
		*plain
		MessageAttributes map[string]struct{ DataType, StringValue string }
	}{plain: (*plain)(s)}
	if err := json.Unmarshal(text, &both); err != nil {
		return err
	}
	s.Attributes = both.MessageAttributes
	return nil
}

func serve(t testing.TB, answer http.HandlerFunc) *queues {
	t.Helper()
	q := &queues{answer: answer}
	q.Server = httptest.NewServer(q)
	t.Cleanup(q.Close)
	return q
}

func (q *queues) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var message sent
	err := json.NewDecoder(r.Body).Decode(&message)
	q.mu.Lock()
	q.requests = append(q.requests, r)
	q.mu.Unlock()
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	switch target := r.Header.Get("X-Amz-Target"); {
	case q.answer != nil:
		q.answer(w, r)
	case err != nil:
		refuse(w, http.StatusBadRequest, "MalformedInput", err.Error())
	case target == "AmazonSQS.GetQueueAttributes":
		fmt.Fprint(w, `{"Attributes":{"MaximumMessageSize":"262144"}}`)
	case target == "AmazonSQS.SendMessage":
		q.mu.Lock()
		q.taken = append(q.taken, message)
		number := len(q.taken)
		q.mu.Unlock()
		sum := md5.Sum([]byte(message.Body))
		answer := map[string]string{"MessageId": fmt.Sprintf("message-%d", number), "MD5OfMessageBody": hex.EncodeToString(sum[:])}
		if message.Group != "" {
			answer["SequenceNumber"] = fmt.Sprint(1000 + number)
		}
		_ = json.NewEncoder(w).Encode(answer)
	default:
		refuse(w, http.StatusBadRequest, "UnsupportedOperation", target)
	}
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("X-Amzn-Query-Error", code+";Sender")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": "com.amazonaws.sqs#" + code, "message": message})
}

func (q *queues) messages() []sent {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.taken
}

// came counts the requests of all kinds.
func (q *queues) came() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.requests)
}

// endpoint is one with a queue of this name.
func (q *queues) endpoint(name string) *webhook.Endpoint {
	return &webhook.Endpoint{ID: "ep_1", URL: q.URL + "/123456789012/" + name, Secret: "a secret of the test"}
}

const sessionToken = "the session token"

// credentials are for nothing but tests.
var credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
	return aws.Credentials{AccessKeyID: "AKIDTEST", SecretAccessKey: "the secret access key", SessionToken: sessionToken}, nil
})

func config() aws.Config { return aws.Config{Region: "eu-central-1", Credentials: credentials} }

// open makes an adapter that may send to these servers.
func open(t testing.TB, opts sqsadapter.Options, servers ...*queues) *sqsadapter.Adapter {
	t.Helper()
	if opts.Config.Credentials == nil {
		opts.Config = config()
	}
	if opts.Queues == nil && opts.Allow == nil {
		opts.Queues = []string{"*/*"}
	}
	for _, server := range servers {
		opts.AllowedEndpoints = append(opts.AllowedEndpoints, server.URL)
	}
	adapter, err := sqsadapter.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = adapter.Close() })
	return adapter
}

func delivery(payload string) *webhook.Delivery {
	return &webhook.Delivery{ID: "dlv_1", Event: "msg_1", EventType: "invoice.paid", Payload: []byte(payload)}
}
