// Package httpadapter delivers webhooks over HTTP.
package httpadapter
