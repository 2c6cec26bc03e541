package signature_test

import (
	"fmt"
	"net/http"
	"time"

	"github.com/neohook/neohook/signature"
)

func ExampleSign() {
	key, err := signature.Parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		fmt.Println(err)
		return
	}
	at := time.Unix(1614265330, 0)
	fmt.Println(signature.Sign([]signature.Key{key}, "msg_p5jXN8AQM9LWM0D4loKWxJek", at, []byte(`{"test": 2432232314}`)))
	// Output: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=
}

func ExampleVerifier_Handler() {
	verifier, err := signature.NewVerifier("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		fmt.Println(err)
		return
	}
	http.Handle("/hook", verifier.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Only what the sender signed comes here; r.Body is what was signed.
		w.WriteHeader(http.StatusNoContent)
	})))
	// Output:
}
