package access

import (
	"errors"
	"fmt"
)

// ErrInvalid is returned for a token that opens nothing: unknown, mistyped, forged,
// expired or revoked. It does not say which.
var ErrInvalid = errors.New("token is not valid")

// ErrSecret is the ErrInvalid of a token that is the very secret that tokens are signed with:
// whoever holds it has not made a token of it.
var ErrSecret = fmt.Errorf("%w: it is the secret that signed tokens are made with", ErrInvalid)

// ClaimError is what is wrong with a claim of a signed token that is genuine.
type ClaimError struct {
	Claim string
	// Missing says that there is no such claim.
	Missing bool
	// Want is what the claim lacks, as "must begin with".
	Want string
}

// Error names the claim.
func (e *ClaimError) Error() string { return fmt.Sprintf("claim %s of the token %s", e.Claim, e.Want) }
