package sqsadapter_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/neohook/neohook/adapter/adaptertest"
	"github.com/neohook/neohook/adapter/sqsadapter"
)

func TestContract(t *testing.T) { adaptertest.Run(t, fakeBench) }

func TestServerContract(t *testing.T) {
	broker := newBroker(t)
	adaptertest.Run(t, func(t *testing.T) adaptertest.Bench { return serverBench(t, broker) })
}

// arrivals is a server that tells of each message that is sent to it, answered or not.
func arrivals(t *testing.T, answer http.HandlerFunc) (*queues, adaptertest.Receiver) {
	arrived := make(chan []byte, 1000)
	server := serve(t, answer)
	taking := server.Config.Handler
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		var message sent
		if r.Header.Get("X-Amz-Target") == "AmazonSQS.SendMessage" && json.Unmarshal(body, &message) == nil {
			arrived <- []byte(message.Body)
		}
		taking.ServeHTTP(w, r)
	})
	return server, adaptertest.Receiver{Endpoint: *server.endpoint("events.fifo"), Arrived: arrived}
}

func fakeBench(t *testing.T) adaptertest.Bench {
	over := make(chan struct{})
	first, taking := arrivals(t, nil)
	second, refusing := arrivals(t, func(w http.ResponseWriter, _ *http.Request) { refuse(w, 503, "ServiceUnavailable", "") })
	third, silent := arrivals(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-over:
		}
	})
	t.Cleanup(func() { close(over) })
	return adaptertest.Bench{
		Adapter: open(t, sqsadapter.Options{}, first, second, third), Taking: taking, Refusing: &refusing, Silent: &silent,
	}
}

// serverBench has a real queue to take deliveries, and one that is not there to refuse
// them. What arrives is asked for, again and again, until the test ends.
func serverBench(t *testing.T, broker broker) adaptertest.Bench {
	endpoint := broker.queue(t, "", nil)
	arrived := make(chan []byte, 1000)
	var consumer sync.WaitGroup
	over := make(chan struct{})
	consumer.Go(func() {
		for {
			got, err := broker.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &endpoint.URL, MaxNumberOfMessages: 10, WaitTimeSeconds: 1})
			if err != nil {
				return // the test has ended
			}
			for _, message := range got.Messages {
				arrived <- []byte(*message.Body)
				_, _ = broker.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &endpoint.URL, ReceiptHandle: message.ReceiptHandle})
			}
			select {
			case <-over:
				return
			default:
			}
		}
	})
	t.Cleanup(func() {
		close(over)
		consumer.Wait()
	})
	gone := *endpoint
	gone.URL += "-not"
	return adaptertest.Bench{
		Adapter:  broker.adapter(t),
		Taking:   adaptertest.Receiver{Endpoint: *endpoint, Arrived: arrived},
		Refusing: &adaptertest.Receiver{Endpoint: gone},
	}
}
