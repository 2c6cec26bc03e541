// Package memadapter is a destination in memory, for the tests of programs that send
// webhooks. It keeps what it is given, and answers as it is told to: with a status, a
// failure, after a while, or never.
//
//	mem := memadapter.New(
//		memadapter.Reply{StatusCode: 503},           // first this,
//		memadapter.Reply{Delay: 2 * time.Second},    // then 200 after two seconds, again and again
//	)
//	…
//	for _, request := range mem.Requests() { … }
//
// It keeps the contract of webhook.Adapter: timeouts pass, contexts end it, Close ends
// what is in flight. Its waits use package time directly, so in a bubble of
// testing/synctest they take no time at all.
package memadapter
