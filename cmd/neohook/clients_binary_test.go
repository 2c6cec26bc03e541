package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestPublishedClients runs the suites in clients against the program. They need what is
// not Go, so they run only where NEOHOOK_CLIENTS names them and says where they are
// installed, as .ci/run does: "javascript=FOLDER python=FOLDER".
func TestPublishedClients(t *testing.T) {
	installed := strings.Fields(os.Getenv("NEOHOOK_CLIENTS"))
	if len(installed) == 0 {
		t.Skip("left out: the suites of the JavaScript and Python clients, which need Node.js and Python; .ci/run clients runs them")
	}
	for _, entry := range installed {
		language, folder, _ := strings.Cut(entry, "=")
		t.Run(filepath.Base(folder), func(t *testing.T) {
			server := startProcess(t, t.TempDir())
			var suite *exec.Cmd
			switch language {
			case "javascript":
				suite = exec.CommandContext(t.Context(), "node", "--test", "suite.mjs")
			case "python":
				suite = exec.CommandContext(t.Context(), filepath.Join(folder, "bin", "python"), "-m", "unittest", "-v", "suite")
			default:
				t.Fatalf("NEOHOOK_CLIENTS=%q", entry)
			}
			suite.Dir = folder
			suite.Env = append(os.Environ(), "SERVER_URL="+server.url, "TOKEN="+server.token)
			suite.WaitDelay = time.Second
			said, err := suite.CombinedOutput()
			t.Logf("%s", said)
			if err != nil {
				t.Errorf("%v\nthe server said:\n%s", err, server.log)
			}
		})
	}
}
