// Package postgrestest gives tests a PostgreSQL server: the one that NEOHOOK_TEST_POSTGRES
// names, or one of their own, made of the programs that are installed and gone with the
// tests.
package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// addressVariable names a server to test with, as "postgres://…". Its user may create
// schemas.
const addressVariable = "NEOHOOK_TEST_POSTGRES"

// ErrNoServer says that there is no server to test with.
var ErrNoServer = errors.New("no PostgreSQL to test with: set " + addressVariable + ", or install its server programs (initdb, postgres)")

// Cluster is a server on a socket in a folder of its own.
type Cluster struct {
	// Folder holds its data and its socket.
	Folder  string
	bin     string
	owner   *syscall.Credential // nil is who runs the tests
	name    string              // of a standby; "" is none
	process *exec.Cmd
	ended   chan error
}

// NewCluster makes a cluster in folder, which must not exist, and starts it. It returns
// ErrNoServer where the programs are missing.
func NewCluster(ctx context.Context, folder string, settings ...string) (*Cluster, error) {
	bin, err := findPrograms()
	if err != nil {
		return nil, err
	}
	c := &Cluster{Folder: folder, bin: bin}
	if err := c.prepare(); err != nil {
		return nil, err
	}
	init := c.command(ctx, "initdb", "--auth=trust", "--username=neohook", "--encoding=UTF8", "--locale=C", "--no-sync", c.data())
	if output, err := init.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, output)
	}
	return c, c.Start(ctx, settings...)
}

func (c *Cluster) data() string { return filepath.Join(c.Folder, "data") }

// Address is where the server is, for clients.
func (c *Cluster) Address() string {
	return "postgres:///postgres?user=neohook&host=" + c.Folder
}

// Pid is the number of the server's process, whose children serve the connections.
func (c *Cluster) Pid() int { return c.process.Process.Pid }

// prepare makes the folder, owned by whom the server runs as: it refuses to be root.
func (c *Cluster) prepare() error {
	if err := os.Mkdir(c.Folder, 0o700); err != nil || os.Getuid() != 0 {
		return err
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.ParseUint(found.Uid, 10, 32)
		gid, _ := strconv.ParseUint(found.Gid, 10, 32)
		c.owner = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		return os.Chown(c.Folder, int(uid), int(gid)) //nolint:gosec // an id of the system's
	}
	return errors.New("PostgreSQL does not run as root, and there is no user postgres or nobody")
}

func (c *Cluster) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(c.bin, program), args...)
	cmd.Dir = c.Folder
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PG") }), "LC_ALL=C")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.owner}
	return cmd
}

// Start starts the server with settings beside the default ones, as "name=value", and
// waits until it answers.
func (c *Cluster) Start(ctx context.Context, settings ...string) error {
	args := []string{"-D", c.data(), "-k", c.Folder, "-c", "listen_addresses="}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	log, err := os.OpenFile(filepath.Join(c.Folder, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	c.process = c.command(context.WithoutCancel(ctx), "postgres", args...)
	c.process.Stdout, c.process.Stderr = log, log
	if err := c.process.Start(); err != nil {
		return err
	}
	c.ended = make(chan error, 1)
	go func() { c.ended <- c.process.Wait() }()
	return c.ready(ctx)
}

// ready waits until the server answers.
func (c *Cluster) ready(ctx context.Context) error {
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		if c.command(ctx, "pg_isready", "-q", "-h", c.Folder).Run() == nil {
			return nil
		}
		select {
		case err := <-c.ended:
			said, _ := os.ReadFile(filepath.Join(c.Folder, "log"))
			return fmt.Errorf("PostgreSQL ended: %w\n%s", err, said)
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// Stop ends the server: at once and without a checkpoint, as a crash of it would, or in
// order.
func (c *Cluster) Stop(atOnce bool) error {
	if c.process.ProcessState != nil {
		return nil // it has ended
	}
	signal := syscall.SIGINT
	if atOnce {
		signal = syscall.SIGQUIT
	}
	if err := c.process.Process.Signal(signal); err != nil {
		return err
	}
	err := <-c.ended
	var exit *exec.ExitError
	if atOnce && errors.As(err, &exit) {
		return nil
	}
	return err
}

// findPrograms returns the folder of the newest server's programs.
func findPrograms() (string, error) {
	var folders []string
	if path, err := exec.LookPath("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			folders = append(folders, filepath.Dir(path))
		}
	}
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql@*/bin", "/usr/local/pgsql/bin"} {
		found, _ := filepath.Glob(pattern)
		slices.Reverse(found)
		folders = append(folders, found...)
	}
	for _, folder := range folders {
		if _, err := os.Stat(filepath.Join(folder, "initdb")); err == nil {
			return folder, nil
		}
	}
	return "", ErrNoServer
}
