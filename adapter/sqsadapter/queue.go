package sqsadapter

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// Queue is where an endpoint's URL points.
type Queue struct {
	// URL is the queue's, with the host in lower case.
	URL string
	// Endpoint is the server that is sent to, "https://sqs.eu-central-1.amazonaws.com".
	Endpoint string
	Region   string
	// Account is the owner's AWS account, and Name the queue's name in it.
	Account, Name string
}

// FIFO says whether the queue keeps order and drops repeats: its name ends in ".fifo".
func (q Queue) FIFO() bool { return strings.HasSuffix(q.Name, ".fifo") }

// errHost is wrapped where a URL is well-formed and its host is not one to send to.
var errHost = errors.New("is not a host of Amazon SQS, nor among the AllowedEndpoints")

// The parts of a queue's URL. An emulator may put more in front of them.
var (
	accountName = regexp.MustCompile(`^[0-9]{12}$`)
	queueName   = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)
	pathPart    = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)
)

const form = "https://sqs.<region>.amazonaws.com/<account>/<name>"

// parseQueue reads an endpoint's URL. Origins are those of AllowedEndpoints, and region
// is that of those whose host does not name one. The errors repeat nothing of the text
// but its host.
func parseQueue(text string, origins map[string]bool, region string) (Queue, error) {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Hostname() == "" || parsed.Scheme != "https" && parsed.Scheme != "http" {
		return Queue{}, errors.New("the URL is not a queue's: " + form)
	}
	if parsed.User != nil || parsed.RawQuery != "" || parsed.ForceQuery || parsed.Fragment != "" || parsed.RawPath != "" {
		return Queue{}, errors.New("the URL has more than a queue's: " + form)
	}
	queue := Queue{Endpoint: origin(parsed)}
	known, amazon := awsRegion(queue.Endpoint)
	switch {
	case amazon:
		queue.Region = known
	case origins[queue.Endpoint]:
		queue.Region = hostRegion(parsed.Hostname(), region)
	default:
		return Queue{}, fmt.Errorf("%s %w", queue.Endpoint, errHost)
	}
	parts := strings.Split(strings.TrimPrefix(parsed.Path, "/"), "/")
	for _, part := range parts {
		if !pathPart.MatchString(part) || strings.Trim(part, ".") == "" {
			return Queue{}, errors.New("the URL's path is not a queue's: /<account>/<name>")
		}
	}
	if len(parts) < 2 || amazon && (len(parts) > 2 || !accountName.MatchString(parts[0])) {
		return Queue{}, errors.New("the URL's path is not a queue's: /<account>/<name>, the account in twelve digits")
	}
	queue.Account, queue.Name = parts[len(parts)-2], parts[len(parts)-1]
	if len(queue.Name) > 80 || !queueName.MatchString(strings.TrimSuffix(queue.Name, ".fifo")) {
		return Queue{}, errors.New("the URL's last part is not a queue's name: 1 to 80 of a-z A-Z 0-9 - _, perhaps with .fifo behind")
	}
	queue.URL = queue.Endpoint + "/" + strings.Join(parts, "/")
	return queue, nil
}

// origin is the scheme, host and port in the one way to write them.
func origin(parsed *url.URL) string {
	host := strings.ToLower(parsed.Host)
	switch parsed.Scheme {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	}
	return parsed.Scheme + "://" + host
}

// domains are those of Amazon's partitions, for IPv4 and for both families. Behind
// "sqs." and a region nobody but Amazon has a name in them.
var domains = map[string]bool{
	"amazonaws.com": true, "api.aws": true, // also AWS GovCloud
	"amazonaws.com.cn": true, "api.amazonwebservices.com.cn": true,
	"amazonaws.eu": true, "api.amazonwebservices.eu": true,
	"c2s.ic.gov": true, "api.aws.ic.gov": true,
	"sc2s.sgov.gov": true, "api.aws.scloud": true,
	"cloud.adc-e.uk": true, "api.cloud-aws.adc-e.uk": true,
	"csp.hci.ic.gov": true, "api.aws.hci.ic.gov": true,
}

// awsRegion returns the region of one of Amazon's public endpoints, and false for any
// other origin. Those of VPCs are not public: their addresses are private, and in our
// network they may be another's.
func awsRegion(origin string) (string, bool) {
	host, secure := strings.CutPrefix(origin, "https://")
	service, rest, _ := strings.Cut(host, ".")
	region, domain, _ := strings.Cut(rest, ".")
	if !secure || service != "sqs" && service != "sqs-fips" || !regionName.MatchString(region) || !domains[domain] {
		return "", false
	}
	return region, true
}

// hostRegion finds a region's name in a host, as in those of VPC endpoints.
func hostRegion(host, otherwise string) string {
	for label := range strings.SplitSeq(strings.ToLower(host), ".") {
		if regionName.MatchString(label) {
			return label
		}
	}
	return otherwise
}

// route points an operation of the client at the queue's server.
func (q Queue) route(o *sqs.Options) {
	o.Region, o.BaseEndpoint = q.Region, aws.String(q.Endpoint)
}
