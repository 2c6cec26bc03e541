package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
)

// api is the REST API of one server or several, seen from a publisher. They take turns.
type api struct {
	bases  []string
	token  string
	client *http.Client
	run    string // tells its idempotency keys from those of others
	posts  atomic.Uint64
}

func newAPI(token string, connections int, servers ...*server) *api {
	a := &api{
		token: token, run: rand.Text(),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}},
	}
	for _, s := range servers {
		a.bases = append(a.bases, s.address+"/api/v1")
	}
	return a
}

// tenant makes a tenant and its endpoints, which hear of everything.
func (a *api) tenant(ctx context.Context, uid string, urls ...string) error {
	if err := a.post(ctx, "/app", fmt.Appendf(nil, `{"name":%q,"uid":%q}`, uid, uid)); err != nil {
		return err
	}
	for _, url := range urls {
		if err := a.post(ctx, "/app/"+uid+"/endpoint", fmt.Appendf(nil, `{"url":%q}`, url)); err != nil {
			return err
		}
	}
	return nil
}

// publish sends an event of a tenant.
func (a *api) publish(ctx context.Context, tenant string, payload []byte) error {
	body := make([]byte, 0, len(payload)+64)
	body = append(body, `{"eventType":"bench.event","payload":`...)
	body = append(append(body, payload...), '}')
	return a.post(ctx, "/app/"+tenant+"/msg?with_content=false", body)
}

func (a *api) post(ctx context.Context, path string, body []byte) error {
	number := a.posts.Add(1)
	base := a.bases[number%uint64(len(a.bases))]
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+a.token)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", "auto_"+a.run+"-"+strconv.FormatUint(number, 10))
	response, err := a.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= 300 {
		return fmt.Errorf("POST %s: %s: %s", path, response.Status, text)
	}
	return nil
}
