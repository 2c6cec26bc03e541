package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// The tests in this folder that end in binary drive the program as it is built for users,
// in processes of its own, on loopback and throw-away folders.

// buildFolder is where binary puts what it builds; TestMain removes it.
var buildFolder string

func TestMain(m *testing.M) {
	code := func() int {
		var err error
		if buildFolder, err = os.MkdirTemp("", "neohook-test-"); err != nil {
			panic(err)
		}
		defer os.RemoveAll(buildFolder)
		return m.Run()
	}()
	os.Exit(code)
}

// binary builds the program once, as releases are built, and returns its path.
var binary = sync.OnceValues(func() (string, error) { return build("neohook") })

// build builds the program under a name of its own, with further flags.
func build(name string, flags ...string) (string, error) {
	path := filepath.Join(buildFolder, name)
	build := exec.Command("go", append(append([]string{"build", "-trimpath", "-ldflags", "-s -w", "-o", path}, flags...), ".")...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := build.CombinedOutput(); err != nil {
		return "", errors.New(string(said))
	}
	return path, nil
}

// built is the path of the program.
func built(t testing.TB) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatalf("go build: %v", err)
	}
	return path
}

// program prepares a run of the program, in an environment without settings.
func program(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	return programAt(built(t), args...)
}

// programAt is program for one that was built otherwise.
func programAt(path string, args ...string) *exec.Cmd {
	command := exec.Command(path, args...)
	command.Env = slices.DeleteFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, envPrefix) })
	return command
}

// process is a running server.
type process struct {
	command *exec.Cmd
	folder  string
	url     string
	token   string
	log     *transcript
	ended   chan struct{} // closed once it has ended, with err
	err     error
}

// transcript keeps what a process says.
type transcript struct {
	mu    sync.Mutex // guards text and over
	text  strings.Builder
	over  bool
	grown *sync.Cond // or over
}

func newTranscript() *transcript {
	l := new(transcript)
	l.grown = sync.NewCond(&l.mu)
	return l
}

func (l *transcript) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.grown.Broadcast()
	return l.text.Write(text)
}

func (l *transcript) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	l.grown.Broadcast()
}

func (l *transcript) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// await waits until text has been said, and returns false if it never is.
func (l *transcript) await(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for !strings.Contains(l.text.String(), text) {
		if l.over {
			return false
		}
		l.grown.Wait()
	}
	return true
}

// startProcess starts a server on a folder and a free port, which may send to loopback,
// and waits until it is ready. It is killed when the test ends, if it has not ended.
func startProcess(t testing.TB, folder string, args ...string) *process {
	t.Helper()
	return startProcessOf(t, built(t), folder, args...)
}

// startProcessOf is startProcess of a program that was built otherwise.
func startProcessOf(t testing.TB, path, folder string, args ...string) *process {
	t.Helper()
	p := &process{folder: folder, log: newTranscript(), ended: make(chan struct{})}
	p.command = programAt(path, append([]string{
		"serve", "--data", folder, "--listen", "127.0.0.1:0", "--log-format", "json",
	}, args...)...)
	p.command.Env = append(p.command.Env, "NEOHOOK_EGRESS_ALLOW=127.0.0.0/8") // unless args say otherwise
	said, err := p.command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)

	lines := bufio.NewScanner(io.TeeReader(said, p.log))
	lines.Buffer(nil, 1<<20)
	for p.url == "" && lines.Scan() {
		var line struct{ Msg, URL string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "listening" {
			p.url = line.URL
		}
	}
	go func() {
		for lines.Scan() { // to the end, for the log
		}
		p.log.end()
		p.err = p.command.Wait()
		close(p.ended)
	}()
	if p.url == "" {
		<-p.ended
		t.Fatalf("the server did not start: %v\n%s", p.err, p.log)
	}
	if p.token, err = readToken(filepath.Join(folder, tokenFile)); err != nil {
		t.Fatal(err)
	}
	return p
}

// kill ends the process without a chance to write anything more.
func (p *process) kill() {
	_ = p.command.Process.Kill() // it may have ended
	<-p.ended
}

// terminate asks it to end and returns its exit code.
func (p *process) terminate(t testing.TB) int {
	t.Helper()
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	return p.command.ProcessState.ExitCode()
}

// awaitLog waits until the server has logged a message that begins so.
func (p *process) awaitLog(t testing.TB, message string) {
	t.Helper()
	if !p.log.await(`"msg":"` + message) {
		t.Fatalf("the server ended and never logged %q:\n%s", message, p.log)
	}
}

// call asks the API of a server as a program without a client library would, decodes the
// answer into out unless that is nil, and returns the status.
func (p *process) call(ctx context.Context, method, path, body string, out any) (int, error) {
	req, err := http.NewRequestWithContext(ctx, method, p.url+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+p.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || out == nil {
		return resp.StatusCode, err
	}
	return resp.StatusCode, json.Unmarshal(text, out)
}

// must is call where only one status is right.
func (p *process) must(t testing.TB, want int, method, path, body string, out any) {
	t.Helper()
	var raw json.RawMessage
	got, err := p.call(t.Context(), method, path, body, &raw)
	if (err != nil && want != http.StatusNoContent) || got != want {
		t.Fatalf("%s %s: %d %s, %v; want %d\n%s", method, path, got, raw, err, want, p.log)
	}
	if out != nil {
		if err := json.Unmarshal(raw, out); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, raw)
		}
	}
}

// full says whether the long forms of tests are asked for.
func full() bool { return os.Getenv("NEOHOOK_TEST_FULL") != "" }

// number is that of an environment variable, or another where it is not set.
func number(t *testing.T, variable string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// listAll walks a list to its end.
func listAll(t *testing.T, server *process, path string) (all []listed) {
	t.Helper()
	for iterator := ""; ; {
		var page struct {
			Data     []listed
			Iterator string
			Done     bool
		}
		server.must(t, http.StatusOK, "GET", path+iterator, "", &page)
		all = append(all, page.Data...)
		if page.Done {
			return all
		}
		iterator = "&iterator=" + page.Iterator
	}
}
