package sqsadapter

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/neohook/neohook/webhook"
)

// MaxMessageBytes is the most that Amazon SQS takes: the body and the names, types and
// values of the attributes. A queue made before August 2025 may have kept the limit of
// then, 262,144 bytes; GetQueueAttributes and Verify tell (MaximumMessageSize).
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
const MaxMessageBytes = 1 << 20

// Options of an Adapter. Config with Credentials, and Queues or Allow, are needed; of the
// rest the zero value is the default.
type Options struct {
	// Config is what the client is made of, as config.LoadDefaultConfig of the AWS SDK
	// returns it. Its Credentials sign every request. Its endpoints (BaseEndpoint,
	// EndpointResolver, AWS_ENDPOINT_URL) have no say, as a queue's URL names its host,
	// nor has its retryer, as the engine retries. Its Region is that of AllowedEndpoints
	// whose host names none; "" is us-east-1. A nil HTTPClient is one of the adapter's
	// own that reads no proxy from the environment; any that is a *http.Client or of the
	// SDK's own kind is used in a copy that follows no redirects.
	Config aws.Config

	// Queues are the queues that endpoints may name, as patterns over "account/name" in
	// the syntax of path.Match: "123456789012/webhooks-*", or "*/*" for all that the
	// credentials can reach. Whoever sets an endpoint's URL chooses with the credentials'
	// rights, so name no more than is meant.
	Queues []string
	// Allow, where it is set, is asked as well, and alone if Queues is empty: an error
	// refuses the endpoint this queue. It ties queues to tenants, and must be safe for
	// concurrent use.
	Allow func(*webhook.Endpoint, Queue) error
	// AllowedEndpoints are servers beside those of Amazon's public endpoints that may be
	// sent to, as "scheme://host[:port]": VPC endpoints, and ElasticMQ, LocalStack or moto
	// in tests. The signed requests go there as they go to Amazon.
	AllowedEndpoints []string

	// Timeout of an attempt whose endpoint names none; 0 is webhook.DefaultTimeout. It
	// spans everything: credentials, look-up, connection, request and answer.
	Timeout time.Duration
	// MaxMessageBytes is the largest message that is sent, body and attributes; 0 is
	// MaxMessageBytes, which is also the most.
	MaxMessageBytes int
	// HealthQueue is the URL of a queue whose attributes Health asks for; "" leaves
	// Health to look for credentials alone.
	HealthQueue string
}

func (o Options) withDefaults() (Options, error) {
	o.Timeout = cmp.Or(o.Timeout, webhook.DefaultTimeout)
	o.MaxMessageBytes = cmp.Or(o.MaxMessageBytes, MaxMessageBytes)
	o.Config.Region = cmp.Or(o.Config.Region, "us-east-1")
	switch {
	case o.Config.Credentials == nil:
		return o, errors.New("sqsadapter: Config.Credentials is nil; config.LoadDefaultConfig of the AWS SDK finds them")
	case len(o.Queues) == 0 && o.Allow == nil:
		return o, errors.New(`sqsadapter: Queues is empty; name those that endpoints may send to, as "123456789012/webhooks-*"`)
	case o.Timeout < 0:
		return o, fmt.Errorf("sqsadapter: Timeout %v is negative", o.Timeout)
	case o.MaxMessageBytes < 1 || o.MaxMessageBytes > MaxMessageBytes:
		return o, fmt.Errorf("sqsadapter: MaxMessageBytes %d is not in 1 to %d", o.MaxMessageBytes, MaxMessageBytes)
	case !regionName.MatchString(o.Config.Region):
		return o, fmt.Errorf("sqsadapter: Config.Region %q is not a region's name", o.Config.Region)
	}
	for _, pattern := range o.Queues {
		if _, err := path.Match(pattern, "account/name"); err != nil || strings.Count(pattern, "/") != 1 {
			return o, fmt.Errorf(`sqsadapter: Queues: %q is not a pattern over "account/name"`, pattern)
		}
	}
	return o, nil
}

// regionName is looser than the lists of the SDK, so that new regions do not wait for a
// new SDK, and tight enough that no name a customer can have under Amazon's domains
// passes: those of buckets' old hosts begin with "s3".
var regionName = regexp.MustCompile(`^[a-z]{2,4}(-[a-z]{2,})+-[0-9]{1,2}$`)

// origins reads AllowedEndpoints.
func (o *Options) origins() (map[string]bool, error) {
	origins := make(map[string]bool, len(o.AllowedEndpoints))
	for _, text := range o.AllowedEndpoints {
		parsed, err := url.Parse(text)
		if err != nil || parsed.Hostname() == "" || strings.Trim(parsed.Path, "/") != "" || parsed.User != nil ||
			parsed.RawQuery != "" || parsed.Fragment != "" || parsed.Scheme != "http" && parsed.Scheme != "https" {
			return nil, fmt.Errorf("sqsadapter: AllowedEndpoints[%d] is not of the form scheme://host[:port]", len(origins))
		}
		origins[origin(parsed)] = true
	}
	return origins, nil
}

// allow asks the options whether an endpoint may name a queue.
func (o *Options) allow(endpoint *webhook.Endpoint, queue Queue) error {
	allowed := len(o.Queues) == 0
	for _, pattern := range o.Queues {
		matched, _ := path.Match(pattern, queue.Account+"/"+queue.Name) // the pattern was tried by New
		allowed = allowed || matched
	}
	if !allowed {
		return fmt.Errorf("the queue %s of the account %s is not among those that may be sent to", queue.Name, queue.Account)
	}
	if o.Allow == nil {
		return nil
	}
	return o.Allow(endpoint, queue)
}
