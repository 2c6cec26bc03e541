package ident_test

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/neohook/neohook/internal/ident"
	"github.com/neohook/neohook/store"
	"github.com/neohook/neohook/webhook"
)

func newCodec(t testing.TB, secret byte) *ident.Codec {
	t.Helper()
	codec, err := ident.New(bytes.Repeat([]byte{secret}, ident.SecretBytes))
	if err != nil {
		t.Fatal(err)
	}
	return codec
}

var birth = time.Date(2026, 5, 4, 3, 2, 1, 123_456_789, time.UTC)

func TestEachKindComesBack(t *testing.T) {
	codec := newCodec(t, 1)
	want := birth.Truncate(4 * time.Millisecond)
	for _, key := range []int64{1, 2, 255, 1 << 40, math.MaxInt64} {
		if got, at, err := codec.ParseTenant(codec.Tenant(birth, store.TenantKey(key))); int64(got) != key || !at.Equal(want) || err != nil {
			t.Errorf("tenant %d: %d, %v, %v", key, got, at, err)
		}
		if got, at, err := codec.ParseEndpoint(codec.Endpoint(birth, store.EndpointKey(key))); int64(got) != key || !at.Equal(want) || err != nil {
			t.Errorf("endpoint %d: %d, %v, %v", key, got, at, err)
		}
		if got, at, err := codec.ParseEvent(codec.Event(birth, store.EventKey(key))); int64(got) != key || !at.Equal(want) || err != nil {
			t.Errorf("event %d: %d, %v, %v", key, got, at, err)
		}
		if got, at, err := codec.ParseAttempt(codec.Attempt(birth, store.AttemptKey(key))); int64(got) != key || !at.Equal(want) || err != nil {
			t.Errorf("attempt %d: %d, %v, %v", key, got, at, err)
		}
		if got, at, err := codec.ParseJob(codec.Job(birth, store.JobKey(key))); int64(got) != key || !at.Equal(want) || err != nil {
			t.Errorf("job %d: %d, %v, %v", key, got, at, err)
		}
	}
	for _, event := range []store.EventKey{1, 1<<56 - 1} {
		for _, endpoint := range []store.EndpointKey{1, 1<<40 - 1} {
			gotEvent, gotEndpoint, at, err := codec.ParseDelivery(codec.Delivery(birth, event, endpoint))
			if gotEvent != event || gotEndpoint != endpoint || !at.Equal(want) || err != nil {
				t.Errorf("delivery %d, %d: %d, %d, %v, %v", event, endpoint, gotEvent, gotEndpoint, at, err)
			}
		}
	}
}

func TestDeliveryRefusesKeysWithoutRoom(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("an endpoint key of 41 bits was cut without a word")
		}
	}()
	newCodec(t, 1).Delivery(birth, 1, 1<<40)
}

// Identifiers are out in the world: the layout may never change.
func TestTheLayoutStays(t *testing.T) {
	codec := newCodec(t, 1)
	for got, want := range map[string]string{
		string(codec.Tenant(birth, 1)):      "app_3DF2uhdx35qvXpoJXMqkSRellfX",
		string(codec.Endpoint(birth, 1)):    "ep_3DF2uheXdGAuxKxfx5W7KtBmf9r",
		string(codec.Event(birth, 1)):       "msg_3DF2uhcyJzgvNV8KPqp6mEoqSwl",
		string(codec.Attempt(birth, 1)):     "atmpt_3DF2uhe25IV0UxvubaqfrwHHv7w",
		string(codec.Job(birth, 1)):         "qtask_3DF2uhddESXYOpkfn4IR2wMoCSs",
		string(codec.Delivery(birth, 1, 1)): "dlv_3DF2uhdkK1K6ychu5TtqDS7jHLM",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestAnIDOfAnotherKindOrStoreIsForeign(t *testing.T) {
	codec, other := newCodec(t, 1), newCodec(t, 2)
	id := string(codec.Tenant(birth, 7))
	swap := func(prefix string) string { return prefix + strings.TrimPrefix(id, webhook.TenantPrefix) }

	check := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, ident.ErrForeign) {
			t.Errorf("%s: err = %v, want ErrForeign", what, err)
		}
	}
	_, _, err := other.ParseTenant(webhook.TenantID(id))
	check("another secret", err)
	_, _, err = codec.ParseEndpoint(webhook.EndpointID(swap(webhook.EndpointPrefix)))
	check("as an endpoint", err)
	_, _, err = codec.ParseEvent(webhook.EventID(swap(webhook.EventPrefix)))
	check("as an event", err)
	_, _, err = codec.ParseAttempt(webhook.AttemptID(swap(webhook.AttemptPrefix)))
	check("as an attempt", err)
	_, _, _, err = codec.ParseDelivery(webhook.DeliveryID(swap(webhook.DeliveryPrefix)))
	check("as a delivery", err)
	_, _, err = codec.ParseTenant(webhook.NewTenantID())
	check("a random one", err)
}

func TestOneChangedCharacterIsForeignOrMalformed(t *testing.T) {
	codec := newCodec(t, 1)
	tenant, delivery := string(codec.Tenant(birth, 7)), string(codec.Delivery(birth, 7, 8))
	for at := len(webhook.TenantPrefix); at < len(tenant); at++ {
		for _, char := range []byte("09AZaz-") {
			changed := tenant[:at] + string(char) + tenant[at+1:]
			if _, _, err := codec.ParseTenant(webhook.TenantID(changed)); changed != tenant && !errors.Is(err, ident.ErrForeign) && !errors.Is(err, webhook.ErrMalformedID) {
				t.Errorf("%s passes for %s: %v", changed, tenant, err)
			}
			changed = delivery[:at] + string(char) + delivery[at+1:]
			if _, _, _, err := codec.ParseDelivery(webhook.DeliveryID(changed)); changed != delivery && !errors.Is(err, ident.ErrForeign) && !errors.Is(err, webhook.ErrMalformedID) {
				t.Errorf("%s passes for %s: %v", changed, delivery, err)
			}
		}
	}
}

func TestMalformedIDs(t *testing.T) {
	codec := newCodec(t, 1)
	for _, id := range []string{"", "app_", "app_1", "ep_3DDutdTIoEqTaeLCHUqHIawexRZ", "app_" + strings.Repeat("z", 27), "app_" + strings.Repeat("0", 28)} {
		if _, _, err := codec.ParseTenant(webhook.TenantID(id)); !errors.Is(err, webhook.ErrMalformedID) {
			t.Errorf("ParseTenant(%q) = %v", id, err)
		}
		if _, _, _, err := codec.ParseDelivery(webhook.DeliveryID(id)); !errors.Is(err, webhook.ErrMalformedID) {
			t.Errorf("ParseDelivery(%q) = %v", id, err)
		}
	}
}

func TestIDsSortByTime(t *testing.T) {
	codec := newCodec(t, 1)
	earlier := codec.Event(birth, math.MaxInt64)
	for later := birth.Add(4 * time.Millisecond); later.Before(birth.AddDate(100, 0, 0)); later = later.Add(later.Sub(birth)) {
		id := codec.Event(later, 1)
		if id <= earlier {
			t.Fatalf("%s of %v sorts before %s", id, later, earlier)
		}
		earlier = id
	}
}

// Keys of one instant, drawn in sequence, look like chance: every bit of the fifteen
// bytes flips about half the time between neighbours.
func TestIDsHideTheSequence(t *testing.T) {
	codec := newCodec(t, 1)
	const n = 4000
	var flips [120]int
	var before webhook.RawID
	for key := range store.EventKey(n) {
		raw, err := webhook.ParseRawID(webhook.EventPrefix, string(codec.Event(birth, key+1)))
		if err != nil {
			t.Fatal(err)
		}
		for bit := range flips {
			at := 5 + bit/8
			flips[bit] += int((raw[at] ^ before[at]) >> (bit % 8) & 1)
		}
		before = raw
	}
	for bit, count := range flips {
		if count < n*45/100 || count > n*55/100 {
			t.Errorf("bit %d flips %d times in %d", bit, count, n)
		}
	}
}

func TestGuessesDoNotDecode(t *testing.T) {
	codec := newCodec(t, 1)
	for range 100_000 {
		var rest [15]byte
		for i := range rest {
			rest[i] = byte(rand.Uint32())
		}
		id := webhook.MakeRawID(birth, rest).Format(webhook.TenantPrefix)
		if _, _, err := codec.ParseTenant(webhook.TenantID(id)); !errors.Is(err, ident.ErrForeign) {
			t.Fatalf("a guess decodes: %s", id)
		}
	}
}

func TestNewRefusesAShortSecret(t *testing.T) {
	if _, err := ident.New(make([]byte, 16)); err == nil {
		t.Error("16 bytes were taken for a secret")
	}
	if secret := ident.NewSecret(); len(secret) != ident.SecretBytes || bytes.Equal(secret, ident.NewSecret()) {
		t.Error("NewSecret is not fresh")
	}
}

func FuzzParseTenant(f *testing.F) {
	codec := newCodec(f, 1)
	f.Add(string(codec.Tenant(birth, 1)))
	f.Add("app_" + strings.Repeat("0", 27))
	f.Fuzz(func(t *testing.T, text string) {
		key, at, err := codec.ParseTenant(webhook.TenantID(text))
		if err != nil {
			if !errors.Is(err, ident.ErrForeign) && !errors.Is(err, webhook.ErrMalformedID) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		if again := codec.Tenant(at, key); string(again) != text {
			t.Fatalf("%q decodes, and encodes as %q", text, again)
		}
	})
}

func FuzzRoundTrip(f *testing.F) {
	codec := newCodec(f, 1)
	f.Add(int64(1), int64(1_700_000_000_000))
	f.Fuzz(func(t *testing.T, key, ms int64) {
		ms = 1_400_000_000_000 + (ms&math.MaxInt64)%(1<<32*1000)
		at := time.UnixMilli(ms)
		got, gotAt, err := codec.ParseEvent(codec.Event(at, store.EventKey(key)))
		if err != nil || int64(got) != key || gotAt.UnixMilli() != ms-ms%4 {
			t.Fatalf("%d at %d: %d at %d, %v", key, ms, got, gotAt.UnixMilli(), err)
		}
	})
}

func BenchmarkCodec(b *testing.B) {
	codec := newCodec(b, 1)
	id, delivery := codec.Event(birth, 12345), codec.Delivery(birth, 12345, 6)
	b.Run("Event", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			codec.Event(birth, 12345)
		}
	})
	b.Run("ParseEvent", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := codec.ParseEvent(id); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Delivery", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			codec.Delivery(birth, 12345, 6)
		}
	})
	b.Run("ParseDelivery", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, _, err := codec.ParseDelivery(delivery); err != nil {
				b.Fatal(err)
			}
		}
	})
}
