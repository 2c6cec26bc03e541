package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// TestServedDocument lets Schemathesis make requests of the served document and hold the
// answers to it: thousands, and more with NEOHOOK_SCHEMATHESIS_CASES for each operation. It
// runs only where NEOHOOK_SCHEMATHESIS names the program, as .ci/run does.
// NEOHOOK_SCHEMATHESIS_SEED repeats a run.
func TestServedDocument(t *testing.T) {
	schemathesis := os.Getenv("NEOHOOK_SCHEMATHESIS")
	if schemathesis == "" {
		t.Skip("left out: Schemathesis against the served document, which needs Python; .ci/run schemathesis runs it")
	}
	receiver := newSink(t, nil)
	server := startProcess(t, t.TempDir())
	var app, endpoint, message struct{ ID string }
	server.must(t, 201, "POST", "/app", `{"name":"Acme","uid":"acme"}`, &app)
	server.must(t, 201, "POST", "/app/acme/endpoint", `{"url":"`+receiver.URL+`","uid":"one"}`, &endpoint)
	server.must(t, 202, "POST", "/app/acme/msg", `{"eventType":"order.created","payload":{"n":1}}`, &message)
	<-receiver.arrivals
	var attempts struct{ Data []struct{ ID string } }
	for len(attempts.Data) == 0 {
		server.must(t, 200, "GET", "/app/acme/attempt/msg/"+message.ID, "", &attempts)
	}
	seed := os.Getenv("NEOHOOK_SCHEMATHESIS_SEED")
	if seed == "" {
		seed = fmt.Sprint(rand.Uint32())
	}
	cases := os.Getenv("NEOHOOK_SCHEMATHESIS_CASES")
	if cases == "" {
		cases = "60"
	}
	config, err := filepath.Abs("../../clients/schemathesis/schemathesis.toml")
	if err != nil {
		t.Fatal(err)
	}
	run := exec.CommandContext(t.Context(), schemathesis, "--config-file", config, "run", server.url+"/api/v1/openapi.json",
		"--seed", seed, "--max-examples", cases, "--phases", "examples,coverage,fuzzing", "--warnings", "off")
	run.Dir = t.TempDir()
	run.Env = append(os.Environ(), "TOKEN="+server.token, "APP="+app.ID, "ENDPOINT="+endpoint.ID, "MESSAGE="+message.ID, "ATTEMPT="+attempts.Data[0].ID)
	run.WaitDelay = time.Second
	said, err := run.CombinedOutput()
	t.Logf("seed %s, %s cases for each operation: %s", seed, cases, regexp.MustCompile(`(?m)^.*generated.*$`).Find(said))
	if err != nil {
		t.Errorf("%v\n%s", err, said)
	}
	if found := regexp.MustCompile(`"level":"ERROR".*`).FindAllString(server.log.String(), 5); found != nil {
		t.Errorf("the server's log has errors:\n%q", found)
	}
}
