// Package arch holds the module to the directions in which its packages may import each
// other. It has tests only: see docs/architecture.md for the rooms and the reasons.
package arch
