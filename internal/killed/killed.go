// Package killed is for tests of what a process leaves behind that is killed: a test runs
// itself in a process of its own.
//
//	func TestKilledWhileWriting(t *testing.T) {
//		if place := killed.Place(); place != "" {
//			writeForever(place) // and print a line for each thing that is done
//		}
//		place := t.TempDir()
//		done := killed.After(t, place, 7)
//		… // want what was done to be there
//	}
package killed

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

const placeVariable = "NEOHOOK_TEST_KILLED"

// Place is what After was given, in the process that is to be killed; elsewhere it is "".
func Place() string { return os.Getenv(placeVariable) }

// After runs the test anew, in a process to be killed that works on a place, a folder or an
// address, under further variables of the environment. It kills that process with SIGKILL
// when it has printed so many lines, and returns all that it has.
func After(t *testing.T, place string, lines int, environment ...string) (printed []string) {
	t.Helper()
	child := exec.CommandContext(t.Context(), os.Args[0], fmt.Sprintf("-test.run=^%s$", t.Name())) //nolint:gosec // this test
	child.Env = append(append(os.Environ(), placeVariable+"="+place), environment...)
	child.Stderr = os.Stderr
	output, err := child.StdoutPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	for scanner := bufio.NewScanner(output); scanner.Scan(); {
		if printed = append(printed, scanner.Text()); len(printed) == lines {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := child.Wait(); err == nil || len(printed) < lines {
		t.Fatalf("child ended with %v after %d lines, it was to be killed after %d: %q", err, len(printed), lines, printed)
	}
	return printed
}
