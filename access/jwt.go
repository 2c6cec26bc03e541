package access

// JWT says which signed tokens (JSON Web Tokens, RFC 7519) are taken beside those that are
// kept. The zero value is none.
//
// A token's sub is an organisation ("org_…"), for which it may do everything; or, where it
// has an org, a tenant of that organisation ("app_…"), for which it may do what a portal's
// token with all capabilities may, its feature_flags naming the event types that it sees.
// exp, nbf and iat are looked at where they are there: exp to the second, the others with
// 15 minutes of tolerance for clocks that differ. aud and iss are not looked at.
type JWT struct {
	// Algorithm is the only one taken, whatever a token says of itself: HS256, HS384,
	// HS512, RS256, RS384, RS512 or EdDSA (Ed25519).
	Algorithm string
	// Key is the secret itself, at least 32 bytes of it, for the HS algorithms, else a
	// public key in PEM; of RSA at least 2048 bits.
	Key []byte
}
