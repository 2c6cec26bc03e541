package postgrestest

import (
	"io"
	"os"
	"os/exec"
	"syscall"
)

// folder is a temporary one, for clusters. It goes when it is removed, and else with the
// process that has made it, whatever ends that: a test that panics, runs out of time or is
// killed leaves no server behind. Another process sees to it.
type folder struct {
	path  string
	guard *exec.Cmd
	made  io.Closer // what the guard reads, as long as this process lives
}

// guardScript ends the servers that are in a folder, and removes it, when its input ends. A
// server that is ending may still make files.
const guardScript = `read -r _
for of in "$1"/*/data/postmaster.pid; do
	test -f "$of" && kill -QUIT "$(head -n 1 "$of")"
done
for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
	rm -rf "$1" && exit
	sleep 0.1
done 2>/dev/null`

func newFolder() (*folder, error) {
	path, err := os.MkdirTemp("", "neohook-postgres-")
	if err != nil {
		return nil, err
	}
	f := &folder{path: path, guard: exec.Command("sh", "-c", guardScript, "sh", path)} //nolint:gosec,noctx // it outlives all
	// What ends the tests by a signal to all of their group must not end it.
	f.guard.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	f.made, err = f.guard.StdinPipe()
	if err == nil {
		err = f.guard.Start()
	}
	if err != nil {
		_ = os.Remove(path)
		return nil, err
	}
	// The server's user must get to its own folder, through this one.
	if err := os.Chmod(path, 0o755); err != nil { //nolint:gosec // what is in it is closed
		_ = f.remove()
		return nil, err
	}
	return f, nil
}

// remove returns when the folder is gone.
func (f *folder) remove() error {
	_ = f.made.Close()
	return f.guard.Wait()
}
