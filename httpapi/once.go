package httpapi

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/neohook/neohook"
)

// once returns who asks, so that what a POST with an idempotency-key does is done a
// single time.
func (c *call) once() (*neohook.Organisation, error) {
	if !c.op.once {
		panic("httpapi: " + c.op.name + " takes an idempotency-key, and its row does not say so")
	}
	key := c.req.Header.Get("Idempotency-Key")
	if key == "" {
		return c.org, nil
	}
	if len(key) > maxKeyBytes {
		var bad faults
		bad.add(fmt.Sprintf("must have at most %d bytes", maxKeyBytes), "header", "idempotency-key")
		return nil, bad.err()
	}
	keep := callersKeys
	if strings.HasPrefix(key, "auto_") {
		keep = automaticKeys
	}
	// The path and the query tell the request apart from others under the same key. They
	// may be long, and are then known by their hash.
	where := c.req.Method + " " + c.req.URL.EscapedPath() + "?" + c.req.URL.RawQuery
	if len(where) > maxKeyBytes-1 {
		hash := sha256.Sum256([]byte(where))
		where = string(hash[:])
	}
	return c.org.Once(neohook.Once{Key: where + "\n" + key, Request: c.buf.Bytes(), KeepFor: keep}), nil
}

const maxKeyBytes = 256

// For how long a repeat is recognised. Client libraries make a key for each request,
// for their own retries within seconds.
const (
	callersKeys   = 12 * time.Hour
	automaticKeys = 10 * time.Minute
)
