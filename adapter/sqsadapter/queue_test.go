package sqsadapter

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/neohook/neohook/webhook"
)

// The SDK knows the endpoints of Amazon's partitions; a suffix that a new one has must
// be added to domains.
func TestEachPublicEndpointOfTheSDKIsKnown(t *testing.T) {
	resolver := sqs.NewDefaultEndpointResolverV2()
	for _, region := range []string{
		"us-east-1", "eu-central-1", "ap-southeast-7", "mx-central-1", "il-central-1", "us-gov-west-1", "cn-north-1",
		"eusc-de-east-1", "us-iso-east-1", "us-isob-east-1", "eu-isoe-west-1", "us-isof-south-1",
	} {
		for _, fips := range []bool{false, true} {
			for _, dual := range []bool{false, true} {
				found, err := resolver.ResolveEndpoint(t.Context(), sqs.EndpointParameters{Region: &region, UseFIPS: &fips, UseDualStack: &dual})
				if err != nil {
					continue // the partition does not have it
				}
				if got, ok := awsRegion(found.URI.String()); !ok || got != region {
					t.Errorf("%s is the region %q (%v), want %q", found.URI.String(), got, ok, region)
				}
			}
		}
	}
}

func TestParseQueue(t *testing.T) {
	const base = "https://sqs.eu-central-1.amazonaws.com"
	origins := map[string]bool{
		"http://127.0.0.1:9324": true, "https://vpce-0a1b-2c3d.sqs.ap-south-1.vpce.amazonaws.com": true, "http://[::1]:4566": true,
	}
	tests := map[string]struct {
		in   string
		want Queue // zero: refused
	}{
		"standard": {base + "/123456789012/events", Queue{
			base + "/123456789012/events", base, "eu-central-1", "123456789012", "events"}},
		"FIFO": {base + "/123456789012/events.fifo", Queue{
			base + "/123456789012/events.fifo", base, "eu-central-1", "123456789012", "events.fifo"}},
		"capitals and a port": {"HTTPS://SQS.EU-Central-1.AmazonAWS.com:443/123456789012/Events", Queue{
			base + "/123456789012/Events", base, "eu-central-1", "123456789012", "Events"}},
		"an emulator": {"http://127.0.0.1:9324/000000000000/events", Queue{
			"http://127.0.0.1:9324/000000000000/events", "http://127.0.0.1:9324", "us-east-1", "000000000000", "events"}},
		"an emulator with a longer path": {"http://[::1]:4566/queue/eu-west-1/000000000000/events", Queue{
			"http://[::1]:4566/queue/eu-west-1/000000000000/events", "http://[::1]:4566", "us-east-1", "000000000000", "events"}},
		"a VPC endpoint": {"https://vpce-0a1b-2c3d.sqs.ap-south-1.vpce.amazonaws.com/123456789012/events", Queue{
			"https://vpce-0a1b-2c3d.sqs.ap-south-1.vpce.amazonaws.com/123456789012/events",
			"https://vpce-0a1b-2c3d.sqs.ap-south-1.vpce.amazonaws.com", "ap-south-1", "123456789012", "events"}},

		"no path":                   {base, Queue{}},
		"a name alone":              {base + "/events", Queue{}},
		"an account that is none":   {base + "/12345678901/events", Queue{}},
		"something behind":          {base + "/123456789012/events/", Queue{}},
		"something in front":        {base + "/x/123456789012/events", Queue{}},
		"a query":                   {base + "/123456789012/events?Action=SendMessage", Queue{}},
		"an empty query":            {base + "/123456789012/events?", Queue{}},
		"a fragment":                {base + "/123456789012/events#x", Queue{}},
		"a password":                {"https://a:b@sqs.eu-central-1.amazonaws.com/123456789012/events", Queue{}},
		"an escape":                 {base + "/123456789012/ev%65nts", Queue{}},
		"an escaped slash":          {base + "/123456789012%2fevents", Queue{}},
		"a way up":                  {base + "/123456789012/..", Queue{}},
		"a name of 80":              {base + "/123456789012/" + strings.Repeat("a", 81), Queue{}},
		"FIFO alone":                {base + "/123456789012/.fifo", Queue{}},
		"a dot in the name":         {base + "/123456789012/a.b", Queue{}},
		"another's path":            {"http://127.0.0.1:9324/../000000000000/events", Queue{}},
		"an ARN":                    {"arn:aws:sqs:eu-central-1:123456789012:events", Queue{}},
		"no scheme":                 {"sqs.eu-central-1.amazonaws.com/123456789012/events", Queue{}},
		"another scheme":            {"ftp://sqs.eu-central-1.amazonaws.com/123456789012/events", Queue{}},
		"another port of the other": {"http://127.0.0.1:9325/000000000000/events", Queue{}},
		"TLS to the other":          {"https://127.0.0.1:9324/000000000000/events", Queue{}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parseQueue(test.in, origins, "us-east-1")
			if (err != nil) != (test.want == Queue{}) || err == nil && got != test.want {
				t.Errorf("parseQueue = %+v, %v; want %+v", got, err, test.want)
			}
		})
	}
	if got, err := parseQueue(base+"/123456789012/"+strings.Repeat("a", 75)+".fifo", nil, ""); err != nil || !got.FIFO() {
		t.Errorf("the longest name = %+v, %v", got, err)
	}
}

// strangers are hosts that look like Amazon's or are, and are not its public SQS. Some
// are anybody's for the asking, as buckets, load balancers and machines are.
var strangers = []string{
	"https://example.com", "https://127.0.0.1", "https://169.254.169.254", "https://localhost", "https://[::1]", "https://[fd00:ec2::254]",
	"http://sqs.eu-central-1.amazonaws.com", "https://sqs.eu-central-1.amazonaws.com:8443", "http://sqs.eu-central-1.amazonaws.com:443",
	"https://amazonaws.com", "https://sqs.amazonaws.com", "https://eu-central-1.amazonaws.com",
	"https://sqs.eu-central-1.amazonaws.com.example.com", "https://sqs.eu-central-1.amazonaws.com.", "https://sqs.eu-central-1.amazonaws.com..",
	"https://sqs.eu-central-1.amazonaws.co", "https://sqs.eu-central-1.amazonaws.org", "https://sqs.eu-central-1.amazonaws.comm",
	"https://sqs.eu-central-1.xamazonaws.com", "https://sqs.eu-central-1.example.com", "https://sqs-eu-central-1.amazonaws.com",
	"https://xsqs.eu-central-1.amazonaws.com", "https://x.sqs.eu-central-1.amazonaws.com", "https://sqs.x.eu-central-1.amazonaws.com",
	"https://sqs..eu-central-1.amazonaws.com", "https://sqs.eu-central-1..amazonaws.com", "https://.sqs.eu-central-1.amazonaws.com",
	"https://example.com\\.sqs.eu-central-1.amazonaws.com", "https://example.com%2f.sqs.eu-central-1.amazonaws.com",
	"https://sqs.eu-central-1.amazonaws.com%00.example.com", "https://sqs.eu-central-1.amazonaws.com%2eexample.com",
	"https://sqs.eu-central-1.amazonaws.com@example.com", "https://sqs.eu-central-1.amazonaws.com:443@example.com",
	"https://example.com#sqs.eu-central-1.amazonaws.com", "https://example.com?sqs.eu-central-1.amazonaws.com",
	"https://example.com/sqs.eu-central-1.amazonaws.com", "https://sqs.eu-central-1.amazonaws.com:", "https:/sqs.eu-central-1.amazonaws.com",
	"https:sqs.eu-central-1.amazonaws.com", "//sqs.eu-central-1.amazonaws.com", "https://sqs.eu-central-1.amazonaws。com",
	"https://ѕqs.eu-central-1.amazonaws.com", "https://sqs.eu-central-1.amazonaws.com\u00ad", "https://sqs.eu\u2010central\u20101.amazonaws.com",
	"https://sqs.s3.amazonaws.com", "https://sqs.s3-eu-central-1.amazonaws.com", "https://sqs.s3.eu-central-1.amazonaws.com",
	"https://sqs.s3-website.eu-central-1.amazonaws.com", "https://sqs.s3-website-eu-west-1.amazonaws.com", "https://sqs.s3-accelerate.amazonaws.com",
	"https://sqs.s3-fips-us-gov-west-1.amazonaws.com", "https://sqs.s3-external-1.amazonaws.com", "https://sqs.s3-control.us-east-1.amazonaws.com",
	"https://sqs.elb.amazonaws.com", "https://sqs.eu-central-1.elb.amazonaws.com", "https://sqs-1.eu-central-1.elb.amazonaws.com",
	"https://sqs.execute-api.eu-central-1.amazonaws.com", "https://sqs.lambda-url.eu-central-1.on.aws", "https://sqs.compute-1.amazonaws.com",
	"https://ec2-203-0-113-1.compute-1.amazonaws.com", "https://ec2-203-0-113-1.eu-central-1.compute.amazonaws.com",
	"https://sqs.eu-central-1.compute.amazonaws.com", "https://sqs.cloudfront.net", "https://sqs.eu-central-1.awsapprunner.com",
	"https://sqs.eu-central-1.elasticbeanstalk.com", "https://sqs.eu-central-1.rds.amazonaws.com", "https://sqs.eu-central-1.es.amazonaws.com",
	"https://sns.eu-central-1.amazonaws.com", "https://sts.eu-central-1.amazonaws.com", "https://iam.amazonaws.com",
	"https://eu-central-1.queue.amazonaws.com", "https://queue.amazonaws.com", "https://sqs.queue.amazonaws.com",
	"https://vpce-0a1b-2c3d.sqs.eu-central-1.vpce.amazonaws.com", "https://sqs.vpce-svc-0a1b.eu-central-1.vpce.amazonaws.com",
	"https://sqs.eu-central-1.vpce.amazonaws.com", "https://sqs.eu-central-1.amazonaws.com.cn.example.com",
	"https://sqs.cn-north-1.amazonaws.com.cnn", "https://sqs.cn-north-1.amazonaws.cn", "https://sqs.eu-central-1.aws", "https://sqs.api.aws",
	"https://sqs.eu-central-1.api.aws.example.com", "https://sqs.eu-central-1.on.aws", "https://sqs.eu-central-1.amazonaws",
	"https://sqs.eu-central-1.example.com/.amazonaws.com", "https://sqs.1.amazonaws.com", "https://sqs.eu-central-1x.amazonaws.com",
	"https://sqs.eu-central-100.amazonaws.com", "https://sqs.-eu-central-1.amazonaws.com", "https://sqs.eu--1.amazonaws.com",
	"https://sqs.eu_central_1.amazonaws.com", "https://sqs.e-central-1.amazonaws.com", "https://sqs.bucket-name-1.amazonaws.com",
	"file:///etc/passwd", "gopher://sqs.eu-central-1.amazonaws.com", "javascript://sqs.eu-central-1.amazonaws.com", "",
}

// recorder is the network: it notes where a request would go, and with what.
type recorder struct{ requests []*http.Request }

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	r.requests = append(r.requests, req)
	return nil, errors.New("no network")
}

func newOver(t testing.TB, network http.RoundTripper) *Adapter {
	t.Helper()
	adapter, err := New(Options{
		Config: aws.Config{
			HTTPClient: &http.Client{Transport: network},
			Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: "a", SecretAccessKey: "b", SessionToken: "c"}, nil
			}),
		},
		Queues: []string{"*/*"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return adapter
}

func TestNothingGoesToStrangers(t *testing.T) {
	network := &recorder{}
	adapter := newOver(t, network)
	for _, stranger := range strangers {
		for _, path := range []string{"/123456789012/events", ""} {
			endpoint := &webhook.Endpoint{ID: "ep_1", URL: stranger + path}
			d := &webhook.Delivery{Event: "msg_1", Payload: []byte("{}")}
			for _, r := range []webhook.Result{adapter.Deliver(t.Context(), d, endpoint), adapter.Verify(t.Context(), endpoint, nil)} {
				if r.Success || r.Fault.Code != webhook.FaultBlockedAddress && r.Fault.Code != webhook.FaultInvalidRequest {
					t.Errorf("%q: %+v", endpoint.URL, r.Fault)
				}
			}
		}
	}
	for _, req := range network.requests {
		t.Errorf("a signed request goes to %s", req.URL)
	}
}

func TestRequestsGoToTheQueuesOwnHostAndRegion(t *testing.T) {
	for host, region := range map[string]string{
		"sqs.eu-central-1.amazonaws.com": "eu-central-1", "sqs-fips.us-west-2.amazonaws.com": "us-west-2",
		"sqs.us-gov-west-1.amazonaws.com": "us-gov-west-1", "sqs.cn-north-1.amazonaws.com.cn": "cn-north-1",
		"sqs.ap-south-1.api.aws": "ap-south-1", "sqs.eusc-de-east-1.amazonaws.eu": "eusc-de-east-1",
	} {
		network := &recorder{}
		endpoint := &webhook.Endpoint{ID: "ep_1", URL: "https://" + host + "/123456789012/events"}
		newOver(t, network).Deliver(t.Context(), &webhook.Delivery{Event: "msg_1", Payload: []byte("{}")}, endpoint)
		if len(network.requests) != 1 {
			t.Fatalf("%s: %d requests", host, len(network.requests))
		}
		req := network.requests[0]
		if scope := "/" + region + "/sqs/"; req.URL.String() != "https://"+host+"/" || !strings.Contains(req.Header.Get("Authorization"), scope) {
			t.Errorf("the request goes to %s, signed %q", req.URL, req.Header.Get("Authorization"))
		}
	}
}

// Whatever is accepted is a public endpoint of Amazon's, and reads the same when it is
// read again.
func FuzzParseQueue(f *testing.F) {
	f.Add("https://sqs.eu-central-1.amazonaws.com/123456789012/events.fifo")
	f.Add("HTTPS://SQS-FIPS.us-gov-west-1.amazonaws.com:443/123456789012/a")
	f.Add("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/a")
	for _, stranger := range strangers {
		f.Add(stranger + "/123456789012/events")
	}
	f.Fuzz(func(t *testing.T, text string) {
		queue, err := parseQueue(text, nil, "us-east-1")
		if err != nil {
			return
		}
		host := strings.TrimPrefix(queue.Endpoint, "https://")
		rest, _ := strings.CutPrefix(strings.TrimPrefix(host, "sqs-fips."), "sqs.")
		if domain := strings.TrimPrefix(rest, queue.Region+"."); !domains[domain] || strings.ContainsAny(host, "/@:%\\?# ") {
			t.Errorf("%q is taken as the host %q", text, host)
		}
		if again, err := parseQueue(queue.URL, nil, ""); err != nil || again != queue {
			t.Errorf("%q is %+v, and that %+v, %v", text, queue, again, err)
		}
	})
}
