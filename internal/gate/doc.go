// Package gate tells who asks: it takes the text of a token and returns the caller that it
// stands for, or says that it stands for nobody.
//
// Tokens that a store keeps and tokens that prove themselves by a signature come in at the
// same gate. What it found it relies on for a second, so that a busy client costs no
// look-ups; what has ended is refused by then everywhere, and at once where it was ended.
package gate
