package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/neohook/neohook/access"
)

// tokenProgram runs neohook token on a folder.
func tokenProgram(t *testing.T, folder, command string, args ...string) (code int, out, said string) {
	t.Helper()
	var stdout, stderr strings.Builder
	line := []string{"token"}
	if command != "" {
		line = append(line, command)
	}
	code = run(t.Context(), append(append(line, "--data", folder), args...), nil, console{out: &stdout, err: &stderr})
	return code, stdout.String(), stderr.String()
}

// manageTokens makes, lists and revokes tokens on a folder, whether or not a server runs
// on it.
func manageTokens(t *testing.T, folder string, works func(token string) bool) {
	t.Helper()
	code, out, said := tokenProgram(t, folder, "create", "--scope", "publish", "--scope", "read", "--name", "ci", "--expiry", "1h")
	text := strings.TrimSuffix(out, "\n")
	_, after, _ := strings.Cut(said, "Token ")
	id, _, _ := strings.Cut(after, " ")
	if code != 0 || access.IsMistyped(text) || strings.Contains(said, text) || !strings.HasPrefix(id, "tok_") || !works(text) {
		t.Fatalf("create: exit code %d, %q, %q; want a token that works, and its id", code, out, said)
	}
	code, out, said = tokenProgram(t, folder, "list")
	var listed []tokenShown
	for line := range strings.Lines(out) {
		var one tokenShown
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatalf("list: %v in %q", err, line)
		}
		listed = append(listed, one)
	}
	if code != 0 || len(listed) != 2 || listed[0].Name != access.DataFolder || listed[1].ID != id || listed[1].ExpiresAt == nil || strings.Contains(out, "nhk_") {
		t.Errorf("list: exit code %d, %q, %q; want the folder's token and %s", code, out, said, id)
	}
	if code, out, said := tokenProgram(t, folder, "revoke", id); code != 0 || out+said != "" || works(text) {
		t.Errorf("revoke: exit code %d, %q, %q; want it to work no more", code, out, said)
	}
	for what, test := range map[string]struct {
		args []string
		code int
		says string
	}{
		"revoked again":         {[]string{"revoke", id}, exitFailed, "neohook: Token not found\n"},
		"for nobody":            {[]string{"create", "--scope", "read", "--app", "nobody"}, exitFailed, "neohook: appId: there is no such application\n"},
		"of nobody":             {[]string{"list", "--app", "nobody"}, exitFailed, "neohook: Application not found\n"},
		"an organisation's":     {[]string{"list", "--organisation", "org_other"}, exitOK, ""},
		"of no organisation":    {[]string{"list", "--organisation", "other"}, exitFailed, "organisation: must begin with org_"},
		"without a scope":       {[]string{"create"}, exitUsage, "missing flags: --scope=SCOPE,..."},
		"with an odd scope":     {[]string{"create", "--scope", "root"}, exitUsage, `"root" is not one of admin, publish, read`},
		"with the folder's":     {[]string{"create", "--scope", "read", "--name", access.DataFolder}, exitFailed, "name: is that of the token in the server's data folder"},
		"without what to end":   {[]string{"revoke"}, exitUsage, `expected "<id>"`},
		"with a secret in args": {[]string{"list", "--keyset", "{}"}, exitUsage, "is not taken from the command line"},
	} {
		code, out, said := tokenProgram(t, folder, test.args[0], test.args[1:]...)
		if code != test.code || out != "" || !strings.Contains(said, test.says) {
			t.Errorf("%s: exit code %d, %q, %q; want %d and %q", what, code, out, said, test.code, test.says)
		}
	}
}

func TestTokensOfAStoppedServer(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	if code, _, said := tokenProgram(t, folder, "list"); code != exitFailed || !strings.Contains(said, folder) {
		t.Errorf("no folder: exit code %d, %q; want to be told", code, said)
	}
	if _, err := os.Stat(folder); err == nil {
		t.Error("the folder was made")
	}
	if code, _, said := tokenProgram(t, folder, ""); code != exitOK {
		t.Fatal(said)
	}
	works := func(token string) bool {
		file := filepath.Join(folder, tokenFile)
		mine, err := os.ReadFile(file)
		if err == nil {
			err = os.WriteFile(file, []byte(token), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		way, err := openReach(t.Context(), place{Data: folderName(folder)}, keysetSettings{})
		if err != nil {
			t.Fatal(err)
		}
		err = way.ask(t.Context(), "GET", "/app", nil, nil)
		if err := way.close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, mine, 0o600); err != nil {
			t.Fatal(err)
		}
		return err == nil
	}
	manageTokens(t, folder, works)

	st := openFolder(t, folder) // by what is no server that says where it listens
	if code, _, said := tokenProgram(t, folder, "list"); code != exitFailed || !strings.Contains(said, "nothing in it says by which server") {
		t.Errorf("in use: exit code %d, %q", code, said)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestTableOfTokensIsForPeople(t *testing.T) {
	app := "app_x"
	var out strings.Builder
	err := showTokenTable(&out, []tokenShown{{ID: "tok_1", Name: "a\x1b[31m", Scopes: []string{"publish", "read"}}, {ID: "tok_2", Portal: true, AppID: &app}})
	lines := strings.Split(out.String(), "\n")
	if err != nil || len(lines) != 4 || strings.Contains(out.String(), "\x1b") || !strings.Contains(lines[1], "publish, read") || !strings.Contains(lines[2], "portal") {
		t.Errorf("%v\n%s", err, &out)
	}
}

// A token that was revoked stays so when the server starts again.
func TestRevokedTokenOfTheFolderIsNotPutBack(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	if code, _, said := tokenProgram(t, folder, ""); code != exitOK {
		t.Fatal(said)
	}
	_, out, _ := tokenProgram(t, folder, "list")
	var mine tokenShown
	if err := json.Unmarshal([]byte(out), &mine); err != nil {
		t.Fatal(err)
	}
	if code, _, said := tokenProgram(t, folder, "revoke", mine.ID); code != exitOK {
		t.Fatal(said)
	}
	for range 2 {
		if code, out, said := tokenProgram(t, folder, "list"); code != exitFailed || !strings.Contains(said, "neohook token --new") {
			t.Fatalf("exit code %d, %q, %q; want to be told to make a new one", code, out, said)
		}
	}
	if code, _, said := tokenProgram(t, folder, "", "--new"); code != exitOK {
		t.Fatal(said)
	}
	if code, _, said := tokenProgram(t, folder, "list"); code != exitOK {
		t.Error(said)
	}
}

func TestTokenFileThatOthersCanReadIsClosedToThem(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("left out on Windows, which has no such modes")
	}
	folder := filepath.Join(t.TempDir(), "data")
	if code, _, said := tokenProgram(t, folder, ""); code != exitOK {
		t.Fatal(said)
	}
	path := filepath.Join(folder, tokenFile)
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	code, out, said := tokenProgram(t, folder, "")
	if code != exitOK || access.IsMistyped(strings.TrimSpace(out)) || !strings.Contains(said, "could be read by others") {
		t.Errorf("exit code %d, %q, %q; want the token, and to be told", code, out, said)
	}
	if got := mode(t, path); got != 0o600 {
		t.Errorf("mode %o, want 600", got)
	}
	if _, _, said := tokenProgram(t, folder, ""); said != "" {
		t.Errorf("told again: %q", said)
	}
}

// The folder of a server on PostgreSQL has a token, and gets no database of its own by being
// asked without --database.
func TestFolderWithoutADatabaseGetsNoneByItsTokens(t *testing.T) {
	folder := t.TempDir()
	if err := writeToken(filepath.Join(folder, tokenFile), string(access.NewText())); err != nil {
		t.Fatal(err)
	}
	code, out, said := tokenProgram(t, folder, "list")
	if code != exitFailed || out != "" || !strings.Contains(said, "--database") || !strings.Contains(said, folder) {
		t.Errorf("exit code %d, %q, %q; want the folder and --database to be named", code, out, said)
	}
	if _, err := os.Stat(filepath.Join(folder, databaseFile)); err == nil {
		t.Error("a database was made")
	}
}
