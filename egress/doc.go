// Package egress decides which hosts may be dialled, and dials them.
//
// Whoever sends webhooks sends requests to addresses that strangers have chosen. A
// Dialer judges the address that is actually dialled, after the look-up, for every
// connection, so that a name can't lead to a place its owner should not reach.
package egress
