// Package shop has tests of programs that publish within transactions of their own, over
// each store: killed at any moment, many at once, and for how long they take.
package shop
