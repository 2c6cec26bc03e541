package gate

import (
	"testing"
	"time"

	"github.com/neohook/neohook/access"
	"github.com/neohook/neohook/internal/ident"
	"github.com/neohook/neohook/internal/record"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/store/memstore"
)

// BenchmarkCaller is what a request costs here: of a token that was seen within the
// second, and of a signed one that was not.
func BenchmarkCaller(b *testing.B) {
	ids, err := ident.New(make([]byte, ident.SecretBytes))
	if err != nil {
		b.Fatal(err)
	}
	st := memstore.New()
	gate, err := New(st, &record.Translator{IDs: ids}, documentedKey)
	if err != nil {
		b.Fatal(err)
	}
	text := access.NewText()
	kept := store.Token{Key: 1, Hash: text.Hash(), Organisation: "org_x", Scopes: []string{"admin"}, CreatedAt: time.Now()}
	if err := st.InsertToken(b.Context(), kept, nil); err != nil {
		b.Fatal(err)
	}
	signed := sign("", `{"sub":"org_x","exp":4102444800,"iat":1767225600}`, documentedSecret)
	for name, text := range map[string]access.Text{"kept": text, "signed": signed} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := gate.Caller(b.Context(), string(text)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("signed, not seen", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := gate.look(b.Context(), string(signed), time.Now()); err != nil {
				b.Fatal(err)
			}
		}
	})
}
