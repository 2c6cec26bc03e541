package main

import (
	"net/http"
	"syscall"
	"testing"
)

// furnished starts a server with the application acme and an endpoint at the receiver.
func furnished(t *testing.T, folder string, receiver *sink, args ...string) *process {
	t.Helper()
	server := startProcess(t, folder, args...)
	server.must(t, http.StatusCreated, "POST", "/app", `{"name": "Acme", "uid": "acme"}`, nil)
	server.must(t, http.StatusCreated, "POST", "/app/acme/endpoint", `{"uid": "first", "url": "`+receiver.URL+`"}`, nil)
	return server
}

func publishTo(t *testing.T, server *process) (id string) {
	t.Helper()
	var message struct{ ID string }
	server.must(t, http.StatusAccepted, "POST", "/app/acme/msg", `{"eventType": "a.b", "payload": {"a": 1}}`, &message)
	return message.ID
}

// attemptStatuses are the receiver's answers to a message as the server has them
// recorded, oldest first.
func attemptStatuses(t *testing.T, server *process, message string) (statuses []int) {
	t.Helper()
	var page struct {
		Data []struct{ ResponseStatusCode int }
	}
	server.must(t, http.StatusOK, "GET", "/app/acme/attempt/msg/"+message, "", &page)
	for _, attempt := range page.Data {
		statuses = append([]int{attempt.ResponseStatusCode}, statuses...)
	}
	return statuses
}

func TestOnSIGTERMAttemptsInFlightFinishAndNothingIsSentTwice(t *testing.T) {
	const events = 8 // fewer than an endpoint may have in flight
	release := make(chan struct{})
	receiver := newSink(t, func(delivered) int { <-release; return http.StatusOK })
	folder := t.TempDir()
	server := furnished(t, folder, receiver)
	for range events {
		publishTo(t, server)
	}
	for range events {
		<-receiver.arrivals // all are in flight
	}
	if err := server.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	server.awaitLog(t, "ending")
	for { // no new work: soon the address takes no connection
		if _, err := server.call(t.Context(), "GET", "/health", "", nil); err != nil {
			break
		}
	}
	close(release)
	<-server.ended
	if code := server.command.ProcessState.ExitCode(); code != 0 {
		t.Fatalf("exit code %d, want 0\n%s", code, server.log)
	}

	server = startProcess(t, folder)
	last := publishTo(t, server)
	for got := range receiver.arrivals {
		if got.id == last {
			break
		}
	}
	if code := server.terminate(t); code != 0 {
		t.Errorf("exit code %d, want 0\n%s", code, server.log)
	}
	for id, n := range receiver.times() {
		if n != 1 {
			t.Errorf("%s was sent %d times, want once", id, n)
		}
	}
	if n := len(receiver.times()); n != events+1 {
		t.Errorf("%d events arrived, want %d", n, events+1)
	}
}

func TestAnAttemptThatOutlastsTheGraceIsMadeAgain(t *testing.T) {
	hold := make(chan struct{})
	receiver := newSink(t, func(got delivered) int {
		if got.count == 1 {
			<-hold
		}
		return http.StatusOK
	})
	t.Cleanup(func() { close(hold) })
	folder := t.TempDir()
	server := furnished(t, folder, receiver, "--grace", "100ms")
	id := publishTo(t, server)
	<-receiver.arrivals
	if code := server.terminate(t); code != 0 {
		t.Fatalf("exit code %d, want 0: the grace bounds the end\n%s", code, server.log)
	}
	server = startProcess(t, folder)
	if got := <-receiver.arrivals; got.id != id || got.count != 2 {
		t.Errorf("after the restart came %s for the %d. time, want %s for the 2nd", got.id, got.count, id)
	}
	if code := server.terminate(t); code != 0 {
		t.Errorf("exit code %d, want 0\n%s", code, server.log)
	}
	server = startProcess(t, folder)
	if got := attemptStatuses(t, server, id); len(got) != 1 || got[0] != 200 {
		t.Errorf("recorded are %v, want the one that was answered: the other does not count", got)
	}
}

func TestASecondSignalEndsAtOnce(t *testing.T) {
	hold := make(chan struct{})
	receiver := newSink(t, func(delivered) int { <-hold; return http.StatusOK })
	t.Cleanup(func() { close(hold) })
	server := furnished(t, t.TempDir(), receiver, "--grace", "1h")
	publishTo(t, server)
	<-receiver.arrivals
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGTERM} {
		if err := server.command.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		server.awaitLog(t, "ending")
	}
	<-server.ended
	if status, ok := server.command.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() {
		t.Errorf("ended with %v, want by the second signal", server.command.ProcessState)
	}
}

func TestRetriesGoOnOverRestarts(t *testing.T) {
	ends := map[string]func(*testing.T, *process){
		"orderly": func(t *testing.T, server *process) {
			if code := server.terminate(t); code != 0 {
				t.Errorf("exit code %d, want 0\n%s", code, server.log)
			}
		},
		"killed": func(_ *testing.T, server *process) { server.kill() },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			receiver := newSink(t, func(got delivered) int {
				if got.count < 3 {
					return http.StatusInternalServerError
				}
				return http.StatusOK
			})
			folder := t.TempDir()
			schedule := []string{"--retry-schedule", "300ms,300ms,300ms"}
			server := furnished(t, folder, receiver, schedule...)
			id := publishTo(t, server)
			for attempt := 1; attempt <= 3; attempt++ {
				if got := <-receiver.arrivals; got.id != id || got.count != attempt {
					t.Fatalf("came %s for the %d. time, want %s for the %d.", got.id, got.count, id, attempt)
				}
				for len(attemptStatuses(t, server, id)) < attempt { // until it is recorded
				}
				end(t, server)
				server = startProcess(t, folder, schedule...)
			}
			if got := attemptStatuses(t, server, id); len(got) != 3 || got[0] != 500 || got[1] != 500 || got[2] != 200 {
				t.Errorf("recorded are %v, want 500, 500, 200", got)
			}
			if code := server.terminate(t); code != 0 {
				t.Errorf("exit code %d, want 0\n%s", code, server.log)
			}
			if n := len(receiver.arrivals); n != 0 {
				t.Errorf("%d more came after the success", n)
			}
		})
	}
}

func TestSIGTERMRightAfterTheStartIsAnOrderlyEndToo(t *testing.T) {
	folder := t.TempDir()
	for range 10 {
		server := startProcess(t, folder)
		if code := server.terminate(t); code != 0 {
			t.Fatalf("exit code %d, want 0\n%s", code, server.log)
		}
	}
}
