package httpapi

import "net/http"

// exposed are the fields of an answer that scripts of other origins may read.
const exposed = "neohook-request-id, neohook-ignored, retry-after"

// crossOrigin lets scripts of any origin use the API, and says whether the request was
// only the question whether they may. Credentials are not allowed: whoever calls must
// hold a token, and nothing here reads a cookie.
func (c *call) crossOrigin() bool {
	if len(c.req.Header["Origin"]) == 0 {
		return false
	}
	header := c.resp.Header()
	header.Set("Access-Control-Allow-Origin", "*")
	method := c.req.Header.Get("Access-Control-Request-Method")
	if c.req.Method != http.MethodOptions || method == "" {
		header.Set("Access-Control-Expose-Headers", exposed)
		return false
	}
	header.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE")
	if wanted := c.req.Header.Get("Access-Control-Request-Headers"); wanted != "" {
		header.Set("Access-Control-Allow-Headers", wanted)
	}
	header.Set("Access-Control-Max-Age", "600")
	return true
}
