package webhook_test

import (
	"crypto/rand"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/neohook/neohook/webhook"
)

const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// slowFormat says the same as RawID.Format by arithmetic that is plainly right.
func slowFormat(prefix string, raw webhook.RawID) string {
	number, base, digit := new(big.Int).SetBytes(raw[:]), big.NewInt(62), new(big.Int)
	text := make([]byte, 27)
	for i := 26; i >= 0; i-- {
		number.DivMod(number, base, digit)
		text[i] = digits[digit.Int64()]
	}
	return prefix + string(text)
}

func FuzzRawID(f *testing.F) {
	f.Add(make([]byte, 20))
	f.Add([]byte(strings.Repeat("\xff", 20)))
	f.Add([]byte("\x00\x00\x00\x01\xff\xff\xff\xff\x00\x00\x00\x00\xff\xff\xff\xff\x80\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, bytes []byte) {
		var raw webhook.RawID
		copy(raw[:], bytes)
		text := raw.Format(webhook.AttemptPrefix)
		if want := slowFormat(webhook.AttemptPrefix, raw); text != want {
			t.Fatalf("Format(%x) = %s, want %s", raw, text, want)
		}
		back, err := webhook.ParseRawID(webhook.AttemptPrefix, text)
		if err != nil || back != raw {
			t.Fatalf("ParseRawID(%s) = %x, %v; want %x", text, back, err, raw)
		}
	})
}

func TestParseRefusesWhatIsNoID(t *testing.T) {
	largest := webhook.RawID([]byte(strings.Repeat("\xff", 20))).Format("msg_")
	if largest != "msg_aWgEPTl1tmebfsQzFP4bxwgy80V" { // as of the KSUID library
		t.Errorf("the largest id is %s", largest)
	}
	for name, text := range map[string]string{
		"empty": "", "prefix alone": "msg_", "another prefix": "app_" + largest[4:],
		"too short": largest[:len(largest)-1], "too long": largest + "0",
		"one above the largest": "msg_aWgEPTl1tmebfsQzFP4bxwgy80W", "27 z": "msg_" + strings.Repeat("z", 27),
		"a sign in it": largest[:10] + "-" + largest[11:],
	} {
		if _, err := webhook.ParseEventID(text); !errors.Is(err, webhook.ErrMalformedID) {
			t.Errorf("%s: ParseEventID(%q) = %v", name, text, err)
		}
	}
	if _, err := webhook.ParseEventID(strings.Repeat("x", 1<<20)); len(err.Error()) > 200 {
		t.Errorf("the error repeats %d bytes of a stranger's text", len(err.Error()))
	}
}

func TestNewIDsCarryTheirTimeAndSort(t *testing.T) {
	before := time.Now().Truncate(4 * time.Millisecond)
	id := webhook.NewEventID()
	raw, err := webhook.ParseRawID(webhook.EventPrefix, string(id))
	if err != nil {
		t.Fatal(err)
	}
	if at := raw.Time(); at.Before(before) || at.After(time.Now()) {
		t.Errorf("%s is of %v, made at %v", id, at, before)
	}
	var rest [15]byte
	_, _ = rand.Read(rest[:])
	later := webhook.MakeRawID(raw.Time().Add(4*time.Millisecond), rest).Format(webhook.EventPrefix)
	if later <= string(id) {
		t.Errorf("%s of 4 ms later does not sort behind %s", later, id)
	}
}

func BenchmarkRawIDFormat(b *testing.B) {
	raw := webhook.MakeRawID(time.Unix(1_700_000_000, 0), [15]byte{1, 2, 3})
	b.ReportAllocs()
	for b.Loop() {
		raw.Format(webhook.EventPrefix)
	}
}
