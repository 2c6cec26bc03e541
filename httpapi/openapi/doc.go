// Package openapi reads event types out of OpenAPI documents: what is in webhooks, or
// x-webhooks before version 3.1, with the schema of what is sent.
//
// A document is JSON or YAML, and is not to be trusted: it refers to nothing outside itself,
// and it is limited in depth and in parts, aliases expanded. References are not put in
// place of what they name, which could grow without end. What a schema needs is copied below
// its $defs instead.
package openapi
