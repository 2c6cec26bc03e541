package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/httpapi"
	"github.com/neohook/neohook/store/sqlite"
)

// addressFile tells, in the folder of a running server, where it listens. Whoever finds
// the folder in use finds it current.
const addressFile = "address"

// writeAddress says where the server of a folder listens.
func writeAddress(folder string, listener net.Listener) error {
	err := os.WriteFile(filepath.Join(folder, addressFile), []byte(baseURL(listener)+"\n"), 0o600)
	if err != nil {
		return fmt.Errorf("address file: %w", err)
	}
	return nil
}

// reach is a way to the API of a data folder, whether or not a server runs on it: by its
// address where one does, else through an API of one's own on the folder.
type reach struct {
	url    string
	client *http.Client
	token  string
	close  func() error
}

// reachTimeout bounds a request to a server on this machine.
const reachTimeout = 30 * time.Second

// openReach finds the way to the API of an existing folder.
func openReach(ctx context.Context, at place, keys keysetSettings) (*reach, error) {
	folder := string(at.Data)
	if _, err := os.Stat(folder); err != nil {
		return nil, fmt.Errorf("data folder %s: %w", folder, reason(err))
	}
	token, err := readToken(filepath.Join(folder, tokenFile))
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(folder, databaseFile)); at.Database == "" && errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("data folder %s has a token and no database: name the one that it is of with --database", folder)
	}
	st, err := at.openStore(ctx)
	if errors.Is(err, sqlite.ErrInUse) {
		return reachServer(folder, token)
	}
	if err != nil {
		return nil, err
	}
	r := &reach{url: "http://in.process", token: token, close: st.Close}
	engine, err := neohook.New(ctx, st, neohook.Options{Keyset: []byte(keys.Keyset), KeysetFile: at.keysetFile(keys.KeysetFile)})
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	api, err := httpapi.New(engine, httpapi.Options{})
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	r.client = &http.Client{Transport: direct{api}}
	return r, nil
}

// reachServer finds the way to the server that runs on a folder.
func reachServer(folder, token string) (*reach, error) {
	text, err := os.ReadFile(filepath.Join(folder, addressFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("data folder %s is in use, and nothing in it says by which server: stop that one, or ask it at /api/v1/auth/token", folder)
	}
	if err != nil {
		return nil, fmt.Errorf("address file: %w", reason(err))
	}
	transport := &http.Transport{Proxy: nil} // it is on this machine
	return &reach{
		url: strings.TrimSpace(string(text)), token: token, client: &http.Client{Transport: transport, Timeout: reachTimeout},
		close: func() error { transport.CloseIdleConnections(); return nil },
	}, nil
}

// direct answers requests by a handler in this process.
type direct struct{ handler http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	got := &gathered{header: make(http.Header), status: http.StatusOK}
	r.RequestURI = r.URL.RequestURI()
	d.handler.ServeHTTP(got, r)
	return &http.Response{
		StatusCode: got.status, Header: got.header, Body: io.NopCloser(&got.body), Request: r, ProtoMajor: 1, ProtoMinor: 1,
	}, nil
}

// gathered is an answer in memory.
type gathered struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (g *gathered) Header() http.Header         { return g.header }
func (g *gathered) WriteHeader(status int)      { g.status = status }
func (g *gathered) Write(p []byte) (int, error) { return g.body.Write(p) }

// ask sends a request and reads the answer into out, unless that is nil.
func (r *reach) ask(ctx context.Context, method, path string, in, out any) error {
	body := []byte(nil)
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, r.url+"/api/v1"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+r.token)
	resp, err := r.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	const most = 16 << 20
	text, err := io.ReadAll(io.LimitReader(resp.Body, most))
	switch {
	case err != nil:
		return err
	case resp.StatusCode == http.StatusUnauthorized:
		return errors.New("the token in the data folder opens nothing any more: stop the server and make another with neohook token --new")
	case resp.StatusCode/100 != 2:
		return refusedError(resp.StatusCode, text)
	case out == nil:
		return nil
	}
	return json.Unmarshal(text, out)
}

// refusedError is what an answer that refuses says.
func refusedError(status int, text []byte) error {
	var out struct{ Detail json.RawMessage }
	if err := json.Unmarshal(text, &out); err != nil {
		return fmt.Errorf("the server answers with %d and no reason", status)
	}
	var detail string
	if json.Unmarshal(out.Detail, &detail) == nil {
		return errors.New(detail)
	}
	var faults []struct {
		Loc []string
		Msg string
	}
	if err := json.Unmarshal(out.Detail, &faults); err != nil || len(faults) == 0 {
		return fmt.Errorf("the server answers with %d and no reason", status)
	}
	texts := make([]string, len(faults))
	for i, fault := range faults {
		texts[i] = fault.Loc[len(fault.Loc)-1] + ": " + fault.Msg
	}
	return errors.New(strings.Join(texts, "; "))
}
