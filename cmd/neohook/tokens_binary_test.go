package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTokensOfARunningServer(t *testing.T) {
	server := startProcess(t, t.TempDir())
	works := func(token string) bool {
		asking := &process{url: server.url, token: token}
		status, err := asking.call(t.Context(), http.MethodGet, "/app", "", nil)
		return err == nil && status == http.StatusOK
	}
	manageTokens(t, server.folder, works)
	if code := server.terminate(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if _, err := os.Stat(filepath.Join(server.folder, addressFile)); err == nil {
		t.Error("the address is left behind")
	}
}

// signedAsSvixDoes makes a token as a Svix server does; secret and organisation are those of
// its documentation.
func signedAsSvixDoes(secret string, now time.Time) string {
	encode := base64.RawURLEncoding.EncodeToString
	claims := fmt.Sprintf(`{"iat":%[1]d,"exp":%[2]d,"nbf":%[1]d,"iss":"svix-server","sub":"org_23rb8YdGqMT0qIzpgGwdXfHirMu"}`,
		now.Unix(), now.AddDate(10, 0, 0).Unix())
	signed := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode([]byte(claims))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(signed))
	return signed + "." + encode(mac.Sum(nil))
}

// A Svix server's secret is all that its users' tokens need.
func TestTokensOfASvixServerWorkUnchanged(t *testing.T) {
	const secret = "8KjzRXrKkd9YFcNyqLSIY8JwiaCeRc6WK4UkMnSW"
	token := signedAsSvixDoes(secret, time.Now())
	file := filepath.Join(t.TempDir(), "jwt-secret")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := startProcess(t, t.TempDir(), "--jwt-key-file", file)
	user := &process{url: server.url, token: token, log: server.log}
	user.must(t, http.StatusCreated, http.MethodPost, "/app", `{"name":"Theirs","uid":"theirs"}`, nil)
	user.must(t, http.StatusNoContent, http.MethodPost, "/auth/logout", "", nil)
	user.must(t, http.StatusUnauthorized, http.MethodGet, "/app", "", nil)
	server.must(t, http.StatusNotFound, http.MethodGet, "/app/theirs", "", nil)
	if strings.Contains(server.log.String(), secret) {
		t.Error("the log has the secret")
	}
}

func TestKeyOfSignedTokensThatCanNotServeStopsTheStart(t *testing.T) {
	folder := t.TempDir()
	weak := filepath.Join(folder, "weak")
	if err := os.WriteFile(weak, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args, environ []string
		code          int
		says          string
	}{
		"weak":      {[]string{"--jwt-key-file", weak}, nil, exitFailed, "neohook: Options.JWT: key of signed tokens: the secret of HS256 has 6 bytes"},
		"missing":   {[]string{"--jwt-key-file", weak + "er"}, nil, exitFailed, "jwt-key-file: open " + weak + "er"},
		"both":      {[]string{"--jwt-key-file", weak}, []string{"NEOHOOK_JWT_SECRET=x"}, exitUsage, "want one of them"},
		"algorithm": {[]string{"--jwt-algorithm", "none"}, nil, exitUsage, `"none" is not one of HS256`},
		"in args":   {[]string{"--jwt-secret", "x"}, nil, exitUsage, "--jwt-secret is not taken from the command line"},
		"odd URL":   {[]string{"--public-url", "hooks.example"}, nil, exitUsage, "is not the address of a server"},
	} {
		var out, errs strings.Builder
		args := append([]string{"serve", "--listen", "127.0.0.1:0", "--data", filepath.Join(folder, "data")}, test.args...)
		code := run(t.Context(), args, test.environ, console{out: &out, err: &errs})
		if code != test.code || !strings.Contains(errs.String(), test.says) || strings.Contains(errs.String(), "neohook: neohook:") {
			t.Errorf("%s: exit code %d, %s; want %d and %q", name, code, errs.String(), test.code, test.says)
		}
	}
}
