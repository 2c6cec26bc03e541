package neohook_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/internal/seal"
	"github.com/neohook/neohook/store/memstore"
	"github.com/neohook/neohook/store/sqlite"
	"github.com/neohook/neohook/webhook"
)

func TestNewMakesAKeysetBesideTheStoreAndUsesItAgain(t *testing.T) {
	dir := t.TempDir()
	var id webhook.TenantID
	var made webhook.Endpoint
	for start := range 3 {
		st := must[*sqlite.Store](t)(sqlite.Open(t.Context(), filepath.Join(dir, "neohook.db")))
		eng := must[*neohook.Engine](t)(neohook.New(t.Context(), st, neohook.Options{}))
		if start == 0 {
			id = must[webhook.Tenant](t)(eng.CreateTenant(t.Context(), webhook.Tenant{Name: "Acme"})).ID
			made = must[webhook.Endpoint](t)(eng.CreateEndpoint(t.Context(), id, webhook.Endpoint{URL: "https://acme.example"}))
		}
		// Identifiers and secrets outlive the process.
		if got := must[webhook.Endpoint](t)(eng.Endpoint(t.Context(), id, made.ID)); got.Secret != made.Secret {
			t.Errorf("start %d: another secret", start)
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "keyset.json"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("keyset file: %v, %v", info.Mode(), err)
	}
}

func TestNewRefusesAMissingOrWrongKeyset(t *testing.T) {
	dir := t.TempDir()
	st := must[*sqlite.Store](t)(sqlite.Open(t.Context(), filepath.Join(dir, "neohook.db")))
	defer st.Close()
	must[*neohook.Engine](t)(neohook.New(t.Context(), st, neohook.Options{}))

	file := filepath.Join(dir, "keyset.json")
	content := must[[]byte](t)(os.ReadFile(file))
	elsewhere := filepath.Join(dir, "elsewhere.json")
	fresh := must[[]byte](t)(neohook.NewKeyset())

	tests := map[string]struct {
		prepare func() neohook.Options
		want    error
		says    []string // "": accepted
	}{
		"given":           {func() neohook.Options { return neohook.Options{Keyset: content} }, nil, nil},
		"given, wins":     {func() neohook.Options { return neohook.Options{Keyset: content, KeysetFile: "/nowhere"} }, nil, nil},
		"another, given":  {func() neohook.Options { return neohook.Options{Keyset: fresh} }, seal.ErrWrongKeyset, []string{"the keyset given", "is not the one"}},
		"none, elsewhere": {func() neohook.Options { return neohook.Options{KeysetFile: elsewhere} }, nil, []string{elsewhere, "missing", "backup"}},
		"another, elsewhere": {func() neohook.Options {
			if err := os.WriteFile(elsewhere, fresh, 0o600); err != nil {
				t.Fatal(err)
			}
			return neohook.Options{KeysetFile: elsewhere}
		}, seal.ErrWrongKeyset, []string{elsewhere, "is not the one"}},
		"not a keyset": {func() neohook.Options { return neohook.Options{Keyset: []byte("sesame")} }, nil, []string{"the keyset given", "not a Tink keyset"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := neohook.New(t.Context(), st, test.prepare())
			if test.says == nil {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil {
				t.Fatal("was accepted")
			}
			if test.want != nil {
				wantErr(t, name, err, test.want)
			}
			for _, word := range test.says {
				if !strings.Contains(err.Error(), word) || strings.Contains(err.Error(), "sesame") {
					t.Errorf("err = %v, want it to say %q", err, word)
				}
			}
		})
		_ = os.Remove(elsewhere)
	}

	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := neohook.New(t.Context(), st, neohook.Options{}); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a keyset that all may read: %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := neohook.New(t.Context(), st, neohook.Options{}); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("the keyset is gone: %v", err)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Error("a keyset was made for a store that is not new")
	}
}

func TestAStoreWithoutAPlaceForAKeysetNeedsOne(t *testing.T) {
	_, err := neohook.New(t.Context(), memstore.New(), neohook.Options{})
	if err == nil || !strings.Contains(err.Error(), "Options.Keyset") {
		t.Errorf("err = %v", err)
	}
}

func TestEnginesOnOneStoreAgree(t *testing.T) {
	st := memstore.New()
	keyset := must[[]byte](t)(neohook.NewKeyset())
	engines := make([]*neohook.Engine, 8)
	var wg sync.WaitGroup
	for i := range engines {
		wg.Go(func() {
			var err error
			if engines[i], err = neohook.New(t.Context(), st, neohook.Options{Keyset: keyset}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	made := must[webhook.Tenant](t)(engines[0].CreateTenant(t.Context(), webhook.Tenant{Name: "Acme"}))
	for i, eng := range engines {
		if got := must[webhook.Tenant](t)(eng.Tenant(t.Context(), made.ID)); got.ID != made.ID {
			t.Errorf("engine %d calls it %s, engine 0 %s", i, got.ID, made.ID)
		}
	}
}
