package httpapi_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/neohook/neohook"
	"github.com/neohook/neohook/httpapi"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/memstore"
)

// A program serves the API beside its own pages.
func ExampleNew() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	st := memstore.New() // or sqlite.Open(ctx, "neohook-data")
	keyset, err := neohook.NewKeyset()
	if err != nil {
		fmt.Println(err)
		return
	}
	engine, err := neohook.New(ctx, st, neohook.Options{Keyset: keyset})
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error)
	go func() { ended <- engine.Run(ctx) }()

	// Whoever holds the text of a token acts for its organisation.
	const text = "nh_not_so_secret"
	token := store.Token{
		Key: 1, Hash: sha256.Sum256([]byte(text)), Organisation: string(neohook.DefaultOrganisation),
		Name: "first", Scopes: []string{"admin"}, CreatedAt: time.Now(),
	}
	if _, err := st.InitToken(ctx, token); err != nil {
		fmt.Println(err)
		return
	}
	api, err := httpapi.New(engine, httpapi.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/api/v1/", api)
	server := httptest.NewServer(mux)
	defer server.Close()

	request, err := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+"/api/v1/app", strings.NewReader(`{"name":"Acme","uid":"acme"}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	request.Header.Set("Authorization", "Bearer "+text)
	answer, err := server.Client().Do(request)
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = answer.Body.Close()
	acme, err := engine.Tenant(ctx, "acme")
	fmt.Println(answer.Status, acme.Name, err)

	stop()
	fmt.Println(<-ended)
	// Output:
	// 201 Created Acme <nil>
	// <nil>
}
