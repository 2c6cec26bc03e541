// Package access is who may do what: scopes and capabilities of tokens, the rights they
// give, and the caller that a token stands for.
//
// An operation needs one Right. A token of the API has scopes, a token of an
// application's portal has capabilities; both come down to Rights. A token may be
// confined to one application, and then nothing else in its organisation is there for it.
package access
