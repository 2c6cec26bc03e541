module github.com/neohook/neohook

go 1.26.0

require (
	code.dny.dev/ssrf v0.3.0
	github.com/standard-webhooks/standard-webhooks/libraries v0.0.1
	github.com/svix/svix-webhooks v1.99.1
	golang.org/x/net v0.62.0
)

require (
	github.com/google/uuid v1.6.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)
