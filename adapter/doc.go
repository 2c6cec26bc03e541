// Package adapter is about working with webhook adapters of any kind. An adapter sends one
// attempt to one kind of destination; the packages below here do what programs do with
// adapters, each over any of them.
//
// Destinations:
//
//   - httpadapter sends over HTTP;
//   - sqsadapter sends to queues of Amazon SQS;
//   - memadapter keeps what it is sent in memory, for tests.
//
// Adapters round another, which nest in any order:
//
//   - breaker leaves an endpoint alone that keeps failing;
//   - monitor counts, measures and logs;
//   - observe tells your own hooks of each request;
//   - dynamic changes the settings of the adapter inside with the load.
//
// Ways to use one:
//
//   - retry delivers again what failed for a passing reason;
//   - batch sends many deliveries, verifies many endpoints, and sends one event to many;
//   - profile opens HTTP adapters by the name of their settings, and shares them.
//
// And adaptertest holds an adapter to the contract of webhook.Adapter, yours too.
//
// They join as values do:
//
//	guarded := breaker.New(httpAdapter, breaker.Options{})
//	watched := monitor.New(guarded, monitor.Options{Logger: logger})
//	outcome := retry.Deliver(ctx, watched, delivery, endpoint, retry.Options{})
//
// What wraps an adapter does not close it: whoever opened it does. As finds a power of an
// adapter through what is wrapped round it.
package adapter
