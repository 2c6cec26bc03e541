package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
)

// api is the REST API, seen from a publisher.
type api struct {
	base, token string
	client      *http.Client
	keys        atomic.Int64
}

func newAPI(base, token string, connections int) *api {
	return &api{
		base: base + "/api/v1", token: token,
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}},
	}
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
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, a.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+a.token)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", "auto_bench-"+strconv.FormatInt(a.keys.Add(1), 10))
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
