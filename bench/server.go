package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// server is a Neohook server in a process of its own.
type server struct {
	address string // http://host:port
	debug   string // the same for its profiles
	token   string
	command *exec.Cmd
}

// buildServer builds the program into folder.
func buildServer(ctx context.Context, folder string) (binary string, err error) {
	binary = filepath.Join(folder, "neohook")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "github.com/neohook/neohook/cmd/neohook")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the server: %w\n%s", err, text)
	}
	return binary, nil
}

// startServer starts a server whose files are in folder, with flags beside those that all
// have here.
func startServer(ctx context.Context, binary, folder string, flags ...string) (*server, error) {
	listen, debug, err := freePorts()
	if err != nil {
		return nil, err
	}
	s := &server{address: "http://" + listen, debug: "http://" + debug}
	s.command = exec.CommandContext(ctx, binary, append([]string{
		"serve", "--data", folder, "--listen", listen,
		"--debug-listen", debug, "--egress-allow", "127.0.0.0/8", "--log-level", "warn",
	}, flags...)...)
	s.command.Stderr = os.Stderr
	if err := s.command.Start(); err != nil {
		return nil, err
	}
	if err := s.awaitHealth(ctx); err != nil {
		s.stop()
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(folder, tokenFile))
	if err != nil {
		s.stop()
		return nil, err
	}
	s.token = strings.TrimSpace(string(text))
	return s, nil
}

// The files that servers on one database share.
const (
	tokenFile  = "token"
	keysetFile = "keyset.json"
)

func freePorts() (first, second string, err error) {
	var ports [2]string
	for i := range ports {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", "", err
		}
		defer listener.Close()
		ports[i] = listener.Addr().String()
	}
	return ports[0], ports[1], nil
}

func (s *server) awaitHealth(ctx context.Context) error {
	for range 200 {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.address+"/api/v1/health", nil)
		if err != nil {
			return err
		}
		if response, err := http.DefaultClient.Do(request); err == nil {
			response.Body.Close()
			if response.StatusCode < 300 {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fmt.Errorf("the server at %s is not healthy", s.address)
}

// cpu returns the processor time that the server has used.
func (s *server) cpu() (time.Duration, error) { return processCPU(s.command.Process.Pid) }

// peak returns the most memory that was resident, as the kernel tells it.
func (s *server) peak() string {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.command.Process.Pid))
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, "VmHWM:"); found {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// profile writes a CPU profile of the next seconds to a file.
func (s *server) profile(ctx context.Context, seconds int, path string) error {
	url := fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", s.debug, seconds)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(file, response.Body)
	return err
}

// stop ends the server in order.
func (s *server) stop() {
	_ = s.command.Process.Signal(syscall.SIGTERM)
	_ = s.command.Wait()
}
