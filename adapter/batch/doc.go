// Package batch does many things at once over any webhook.Adapter: Deliver sends many
// deliveries, Verify asks many endpoints whether they are there, and Event sends one
// event to many endpoints.
//
// Each keeps the order of what it was given, so that the result at an index belongs to
// the input at that index, and none stops because one of them failed. How many run at
// once is bounded here, and perhaps more tightly by the adapter: an httpadapter lets as
// many through as its MaxConcurrent says.
package batch
