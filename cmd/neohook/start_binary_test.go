package main

import (
	"bytes"
	"database/sql"
	"debug/elf"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/neohook/neohook"
)

// said runs a program to its end and returns its exit code, and what it wrote.
func said(t *testing.T, command *exec.Cmd) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	// A program that should have refused and runs is ended, and so found out.
	deadline := time.AfterFunc(time.Minute, func() { _ = command.Process.Kill() })
	defer deadline.Stop()
	_ = command.Wait() // the exit code tells
	return command.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

// complaint is the last line of what a program wrote to stderr, where logs may come first.
func complaint(errs string) string {
	lines := strings.Split(strings.TrimRight(errs, "\n"), "\n")
	return lines[len(lines)-1]
}

func TestTheBinarySaysInOneLineWhyItCannotStart(t *testing.T) {
	port, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer port.Close()
	inUse := startProcess(t, t.TempDir())
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("lisen: 127.0.0.1:0\n"), 0o600); err != nil {
		t.Fatal(err)
	}

	tests := map[string]struct {
		args []string
		code int
		want string
	}{
		"unknown flag":        {[]string{"serve", "--listn", "x"}, 2, `unknown flag --listn, did you mean "--listen"?`},
		"bad value":           {[]string{"serve", "--log-level", "loud"}, 2, `--log-level: "loud" is not one of debug, info, warn, error`},
		"unknown key":         {[]string{"serve", "--config", file}, 2, `file:1: unknown key "lisen", did you mean listen?`},
		"missing file":        {[]string{"serve", "--config", file + ".yaml"}, 2, "configuration file: open"},
		"unknown command":     {[]string{"sevre"}, 2, `unknown command sevre, did you mean "serve"?; neohook --help`},
		"port in use":         {[]string{"serve", "--listen", port.Addr().String()}, 1, "is in use by another program; choose another with --listen"},
		"folder in use":       {[]string{"serve", "--data", inUse.folder}, 1, "is in use by another neohook: stop that one, or choose another folder with --data"},
		"folder is a file":    {[]string{"serve", "--data", file}, 1, file},
		"folder below a file": {[]string{"serve", "--data", filepath.Join(file, "data")}, 1, file},
		"newer database":      {[]string{"serve", "--data", newerFolder(t)}, 1, "for programs that know version 9999 or newer, and this program knows 1: use a newer release"},
		"other key set":       {[]string{"serve", "--data", rekeyedFolder(t)}, 1, "is not the one that this store was made with"},
		"no key set":          {[]string{"serve", "--data", keylessFolder(t)}, 1, "without it the store's secrets can't be read"},
		"not a database":      {[]string{"serve", "--data", garbledFolder(t)}, 1, "is not a SQLite database"},
		"token, bad folder":   {[]string{"token", "--data", filepath.Join(file, "data")}, 1, file},
		"token, surplus":      {[]string{"token", "now"}, 2, "unexpected argument now"},
		"receive, bad secret": {[]string{"receive", "--secret", "whsec_%"}, 2, "--secret:"},
		"receive, port":       {[]string{"receive", "--listen", port.Addr().String()}, 1, "is in use by another program"},
		"demo, port":          {[]string{"demo", "--listen", port.Addr().String()}, 1, "is in use by another program"},
		"demo, bad time":      {[]string{"demo", "--every", "0s"}, 2, "--every: want a time above 0"},
		"version, surplus":    {[]string{"version", "now"}, 2, "unexpected argument now"},
	}
	if os.Geteuid() != 0 { // who may write everywhere
		closed := t.TempDir()
		if err := os.Chmod(closed, 0o500); err != nil {
			t.Fatal(err)
		}
		tests["unwritable folder"] = struct {
			args []string
			code int
			want string
		}{[]string{"serve", "--data", closed}, 1, "must be writable"}
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			args := test.args
			if args[0] == "serve" && test.code == 1 && name != "port in use" {
				args = append(args, "--listen", "127.0.0.1:0")
			}
			code, _, errs := said(t, program(t, args...))
			line := complaint(errs)
			if code != test.code || !strings.HasPrefix(line, "neohook: ") || !strings.Contains(line, test.want) {
				t.Errorf("exit code %d, and the last line is\n%s\nwant %d and a line with %q", code, line, test.code, test.want)
			}
			for _, before := range strings.Split(strings.TrimSuffix(errs, line+"\n"), "\n") {
				if before != "" && !strings.HasPrefix(before, "time=") {
					t.Errorf("beside the line and the log it says %q", before)
				}
			}
		})
	}
}

// usedFolder is a data folder that a server has worked on.
func usedFolder(t *testing.T) string {
	t.Helper()
	server := startProcess(t, t.TempDir())
	if code := server.terminate(t); code != 0 {
		t.Fatalf("exit code %d\n%s", code, server.log)
	}
	return server.folder
}

func newerFolder(t *testing.T) string {
	t.Helper()
	folder := usedFolder(t)
	db, err := sql.Open("sqlite", filepath.Join(folder, databaseFile))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("PRAGMA user_version = 9999; UPDATE schema_needs SET version = 9999"); err != nil {
		t.Fatal(err)
	}
	return folder
}

// keysetOf is the key set file in a data folder: the one file that is not named here.
func keysetOf(t *testing.T, folder string) string {
	t.Helper()
	var found string
	err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		if strings.Contains(filepath.Base(path), "keyset") {
			found = path
		}
		return err
	})
	if err != nil || found == "" {
		t.Fatalf("no key set in %s: %v", folder, err)
	}
	return found
}

func rekeyedFolder(t *testing.T) string {
	t.Helper()
	folder := usedFolder(t)
	other, err := neohook.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(keysetOf(t, folder), other, 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

func keylessFolder(t *testing.T) string {
	t.Helper()
	folder := usedFolder(t)
	if err := os.Remove(keysetOf(t, folder)); err != nil {
		t.Fatal(err)
	}
	return folder
}

func garbledFolder(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	text := bytes.Repeat([]byte("no database "), 1000)
	if err := os.WriteFile(filepath.Join(folder, databaseFile), text, 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestTheKeySetCanComeFromTheEnvironment(t *testing.T) {
	keyset, err := neohook.NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	command := program(t, "serve", "--data", folder, "--listen", "127.0.0.1:0")
	command.Env = append(command.Env, "NEOHOOK_KEYSET="+string(keyset))
	server := watch(t, command)
	server.awaitOut(t, "listening on")
	server.interrupt(t)
	if strings.Contains(server.errs.String(), string(keyset)) {
		t.Error("the log shows the key set")
	}
	if entries, err := filepath.Glob(filepath.Join(folder, "*keyset*")); err != nil || len(entries) != 0 {
		t.Errorf("a key set was written to %v, %v", entries, err)
	}
	code, _, errs := said(t, program(t, "serve", "--data", folder, "--listen", "127.0.0.1:0"))
	if code != 1 || !strings.Contains(complaint(errs), "keyset") {
		t.Errorf("without it: exit code %d, %q; want to be told of the key set", code, complaint(errs))
	}
}

// watched is a program that prints for people.
type watched struct {
	command   *exec.Cmd
	out, errs *transcript
	ended     chan struct{}
}

func watch(t *testing.T, command *exec.Cmd) *watched {
	t.Helper()
	w := &watched{command: command, out: newTranscript(), errs: newTranscript(), ended: make(chan struct{})}
	command.Stdout, command.Stderr = w.out, w.errs
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = command.Wait() // its state tells
		w.out.end()
		close(w.ended)
	}()
	t.Cleanup(func() { _ = command.Process.Kill(); <-w.ended })
	return w
}

func (w *watched) awaitOut(t *testing.T, text string) {
	t.Helper()
	if !w.out.await(text) {
		t.Fatalf("it ended and never said %q:\n%s%s", text, w.out, w.errs)
	}
}

// interrupt is Ctrl-C.
func (w *watched) interrupt(t *testing.T) {
	t.Helper()
	if err := w.command.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	<-w.ended
	if code := w.command.ProcessState.ExitCode(); code != 0 {
		t.Errorf("after Ctrl-C the exit code is %d, want 0\n%s", code, w.errs)
	}
}

// printedScript is what the banner gives to paste.
func printedScript(banner string) string {
	_, after, _ := strings.Cut(banner, "A first event")
	var script strings.Builder
	for line := range strings.Lines(after) {
		if text, indented := strings.CutPrefix(line, "    "); indented {
			script.WriteString(text)
		}
	}
	return script.String()
}

func TestThePrintedScriptSendsAFirstEvent(t *testing.T) {
	for _, tool := range []string{"sh", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("left out: %v", err)
		}
	}
	receiver := newSink(t, nil)
	folder := filepath.Join(t.TempDir(), "it's here")
	server := watch(t, program(t, "serve", "--data", folder, "--listen", "127.0.0.1:0", "--egress-allow", "127.0.0.0/8"))
	server.awaitOut(t, "api /app/acme/msg")
	token, err := readToken(filepath.Join(folder, tokenFile))
	if err != nil {
		t.Fatal(err)
	}
	script := printedScript(server.out.String())
	for range 2 { // the second time makes an event more
		shell := exec.CommandContext(t.Context(), "sh")
		// Only the receiver is another, since its port may be taken here.
		shell.Stdin = strings.NewReader(strings.ReplaceAll(script, "http://127.0.0.1:9000", receiver.URL))
		if output, err := shell.CombinedOutput(); err != nil || strings.Contains(string(output), `"detail"`) {
			t.Fatalf("the script\n%s\ngives %v\n%s", script, err, output)
		}
		got := <-receiver.arrivals
		if string(got.body) != `{"invoice": 42, "amount": "19.90"}` {
			t.Errorf("the receiver got %s", got.body)
		}
	}
	server.interrupt(t)
	if text := server.out.String() + server.errs.String(); strings.Contains(text, token) {
		t.Errorf("the token is shown in\n%s", text)
	}
}

func TestTheReadmeHasTheScriptThatIsPrinted(t *testing.T) {
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	if want := firstEvent("http://127.0.0.1:8071", "neohook-data/token"); !strings.Contains(string(text), want) {
		t.Errorf("README.md lacks\n%s", want)
	}
}

func TestTheBannerNamesTheProgramAsItWasStarted(t *testing.T) {
	command := program(t, "serve", "--data", t.TempDir(), "--listen", "127.0.0.1:0")
	command.Args[0] = "./a folder/neohook"
	server := watch(t, command)
	server.awaitOut(t, "api /app/acme/msg")
	if !strings.Contains(server.out.String(), "\n    './a folder/neohook' receive\n") {
		t.Errorf("the banner does not say how to start the receiver:\n%s", server.out)
	}
	server.interrupt(t)
}

func TestTheBannerSaysThatLoopbackIsRefused(t *testing.T) {
	server := watch(t, program(t, "serve", "--data", t.TempDir(), "--listen", "127.0.0.1:0"))
	server.awaitOut(t, "api /app/acme/msg")
	if !strings.Contains(server.out.String(), "--egress-allow 127.0.0.0/8") {
		t.Errorf("the banner does not say what the receiver needs:\n%s", server.out)
	}
	server.interrupt(t)
}

func TestDemoShowsDeliveriesAndLeavesNothing(t *testing.T) {
	command := program(t, "demo", "--every", "20ms")
	command.Env = append(command.Env, "TMPDIR="+t.TempDir())
	demo := watch(t, command)
	demo.awaitOut(t, "delivered")
	demo.awaitOut(t, "refused")
	demo.awaitOut(t, "signature valid")
	folder := demoFolder(t, demo.out.String())
	if _, err := os.Stat(folder); err != nil {
		t.Errorf("while it runs: %v", err)
	}
	demo.interrupt(t)
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its folder is left behind: %v", err)
	}
	if !strings.Contains(demo.out.String(), "folder is removed") || demo.errs.String() != "" {
		t.Errorf("it ends with\n%s%s", demo.out, demo.errs)
	}
}

func demoFolder(t *testing.T, text string) string {
	t.Helper()
	_, after, _ := strings.Cut(text, "its token in ")
	path, _, found := strings.Cut(after, "\n")
	if !found {
		t.Fatalf("demo does not say where the token is:\n%s", text)
	}
	return filepath.Dir(path)
}

func TestVersionTellsWhatWasBuilt(t *testing.T) {
	code, out, errs := said(t, program(t, "version"))
	if code != 0 || errs != "" || !strings.HasPrefix(out, "neohook ") || !strings.Contains(out, runtime.Version()) {
		t.Errorf("exit code %d, %q, %q; want version and Go version", code, out, errs)
	}
}

func TestTheBinaryIsStatic(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("left out: looks into an ELF file, which this system has not")
	}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	file, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, part := range file.Progs {
		if part.Type == elf.PT_INTERP || part.Type == elf.PT_DYNAMIC {
			t.Errorf("it needs a %v, a dynamic linker's", part.Type)
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%.1f MB", float64(info.Size())/1e6)
}

// BenchmarkStart takes the time from the start of the process until it answers, on a new
// folder.
//
//	go test ./cmd/neohook -run '^$' -bench Start
func BenchmarkStart(b *testing.B) {
	for b.Loop() {
		server := startProcess(b, b.TempDir())
		resp, err := http.Get(server.url + "/api/v1/health")
		if err != nil || resp.StatusCode != http.StatusOK {
			b.Fatal(resp, err)
		}
		b.StopTimer()
		_ = resp.Body.Close()
		server.kill()
		b.StartTimer()
	}
}
