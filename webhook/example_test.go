package webhook_test

import (
	"fmt"
	"time"

	"github.com/neohook/neohook/webhook"
)

func ExampleBackoff() {
	fmt.Println(webhook.Backoff{}.Schedule())
	fmt.Println(webhook.Backoff{MaxAttempts: 9}.Schedule())
	// Output:
	// [5s 10s]
	// [5s 10s 20s 40s 1m20s 2m40s 5m0s 5m0s]
}

// Validate tells all that is wrong, at once.
func ExampleEndpoint_Validate() {
	endpoint := webhook.Endpoint{URL: "api.example.com", Timeout: 301 * time.Second, Headers: map[string]string{"Host": "x"}}
	fmt.Println(endpoint.Validate())
	// Output:
	// invalid url: must be an absolute http or https URL, such as https://example.com/hook; headers.Host: the name "Host" is reserved; timeout: must be between 1 and 300 seconds
}
