package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/neohook/neohook/access"
)

// place says where a server keeps its things.
type place struct {
	Config   string          `placeholder:"FILE" help:"YAML file with any of these settings, by their names."`
	Data     folderName      `placeholder:"DIR" default:"neohook-data" help:"Folder of the database, the key set and the API token. Made if it is missing."`
	Database databaseAddress `placeholder:"URL" help:"PostgreSQL database in place of the one in the folder, as postgres://user@host/name, which many servers can share. Default: none."`
}

// settings is the one list of what can be configured. A field is at once a flag of
// serve, a NEOHOOK_ variable, a key of the configuration file, a row of the README's
// table and an attribute of the first log line. Its tags give the default and the help;
// "secret" keeps it off the command line and out of print.
type settings struct {
	place

	Role                roleName `placeholder:"ROLE" default:"all" help:"What this server does of the work of those that share a PostgreSQL database: all, api (accept and answer) or deliver."`
	NodeName            string   `placeholder:"NAME" help:"How this server is called in the logs of the others. Default: the host's name."`
	Migrate             bool     `help:"Bring the tables of an older version up to date at the start, in the database that --database names. neohook migrate does the same by itself."`
	Listen              address  `placeholder:"HOST:PORT" default:"127.0.0.1:8071" help:"Address the API is served on. Port 0 takes a free one."`
	EgressAllow         []cidr   `placeholder:"CIDR" help:"Addresses that may be sent to although they are not public, as 127.0.0.0/8 for receivers on this machine. May be repeated."`
	RetrySchedule       schedule `placeholder:"WAITS" default:"5s,5m,30m,2h,5h,10h,10h" help:"Waits after each failed attempt; none makes one attempt."`
	SvixHeaders         bool     `help:"Add svix-id, svix-timestamp and svix-signature beside the webhook- headers."`
	MaxPayload          size     `placeholder:"SIZE" default:"1MiB" help:"Largest payload of an event."`
	CheckPayloads       bool     `help:"Refuse a message whose payload does not fit the schemas of its event type."`
	MaxInFlight         count    `placeholder:"N" default:"4096" help:"Most attempts in flight, over all endpoints."`
	EndpointConcurrency count    `placeholder:"N" default:"10" help:"Most attempts in flight to one endpoint."`
	MaxMemory           size     `placeholder:"SIZE" default:"64MiB" help:"Most bytes of payloads held in memory; what is beyond waits on disk."`
	MaxWaiting          size     `placeholder:"SIZE" default:"64MiB" help:"Most bytes of events that wait for a place in memory; beyond it the answer is 503 at once."`
	PublishWait         span     `placeholder:"TIME" default:"5s" help:"How long an event waits for its turn to be stored before the answer is 503."`
	JobRate             count    `placeholder:"N" default:"200" help:"How many deliveries a second a job sends that does not say itself: to recover, replay or resend. At most 5000."`
	DisableAfter        span     `placeholder:"TIME" default:"120h" help:"How long an endpoint may fail without a success until it is disabled; 0s is for ever."`
	KeepEvents          keep     `placeholder:"TIME" default:"2160h" help:"How long events are kept, with how their deliveries ended, 24h to 87600h; tenants may have times of their own."`
	KeepPayloads        keep     `placeholder:"TIME" default:"0s" help:"How long their payloads are; 0s is 2160h, or as long as events where that is less."`
	KeepAttempts        keep     `placeholder:"TIME" default:"0s" help:"The same of attempts and what was answered, since they began."`
	MaxTenantBacklog    limit    `placeholder:"N" default:"10000000" help:"Most open deliveries of a tenant; beyond it the answer is 429. With none there is no limit."`
	MaxTenantEndpoints  limit    `placeholder:"N" default:"500" help:"Most endpoints of a tenant. With none there is no limit."`
	MinFree             size     `placeholder:"SIZE" default:"256MiB" help:"What must be free on the disk of the embedded database to accept events; outcomes are stored all the same."`
	Grace               span     `placeholder:"TIME" default:"30s" help:"How long attempts in flight may go on once the server is told to end."`
	keysetSettings
	signedTokens
	PublicURL     publicURL `placeholder:"URL" help:"Where browsers reach the server, as https://hooks.example; links to pages begin with it. Default: where the request came to."`
	MetricsListen address   `placeholder:"HOST:PORT" help:"Address metrics are served on, to whoever can reach it. Default: none; with a token of the server's own organisation they are at /metrics of the API in any case."`
	DebugListen   address   `placeholder:"HOST:PORT" help:"Address profiles (net/http/pprof) are served on, to whoever can reach it. Default: none."`
	LogLevel      logLevel  `placeholder:"LEVEL" default:"info" help:"Least severe messages to log: debug, info, warn or error."`
	LogFormat     logFormat `placeholder:"FORMAT" default:"text" help:"How messages are logged: text or json."`
}

// signedTokens say which signed tokens (JWT) the API takes beside its own.
type signedTokens struct {
	JWTAlgorithm jwtAlgorithm `name:"jwt-algorithm" placeholder:"ALG" default:"HS256" help:"How signed tokens (JWT) are signed: HS256, HS384, HS512, RS256, RS384, RS512 or EdDSA. None is taken without a secret or key."`
	JWTSecret    string       `name:"jwt-secret" placeholder:"TEXT" secret:"" hidden:"" help:"The secret of signed tokens, at least 32 bytes; with that of a Svix server its tokens go on working."`
	JWTKeyFile   string       `name:"jwt-key-file" placeholder:"FILE" help:"File of the secret in place of jwt-secret, or for RS and EdDSA of the public key in PEM."`
}

// jwt reads the key, if there is one.
func (s *signedTokens) jwt() (access.JWT, error) {
	key := []byte(s.JWTSecret)
	switch {
	case s.JWTSecret != "" && s.JWTKeyFile != "":
		return access.JWT{}, &usageError{errors.New("jwt-secret and jwt-key-file are both given: want one of them")}
	case s.JWTKeyFile != "":
		text, err := os.ReadFile(s.JWTKeyFile)
		if err != nil {
			return access.JWT{}, fmt.Errorf("jwt-key-file: %w", err)
		}
		// Editors end a file with a line end, which is no part of a secret.
		key = []byte(strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r"))
	case s.JWTSecret == "":
		return access.JWT{}, nil
	}
	return access.JWT{Algorithm: string(s.JWTAlgorithm), Key: key}, nil
}

const redacted = "[redacted]"

// LogValue lists every setting by its name, secret ones only as set or not.
func (s settings) LogValue() slog.Value {
	var attrs []slog.Attr
	_ = eachSetting(&s, func(flag *kong.Flag) error {
		text := flag.Target.Interface()
		if isSecret(flag) && !flag.Target.IsZero() {
			text = redacted
		}
		attrs = append(attrs, slog.Any(strings.ReplaceAll(flag.Name, "-", "_"), text))
		return nil
	})
	return slog.GroupValue(attrs...)
}

// defaultSettings is what serve has where nothing is said.
func defaultSettings() (s settings, err error) {
	parser, err := kong.New(&s, kong.NoDefaultHelp())
	if err != nil {
		return s, err
	}
	_, err = parser.Parse(nil)
	return s, err
}

// eachSetting calls visit for every field of s, as the command line sees it.
func eachSetting(s *settings, visit func(*kong.Flag) error) error {
	model, err := kong.New(s, kong.NoDefaultHelp())
	if err != nil {
		return err
	}
	for _, flag := range model.Model.Flags {
		if err := visit(flag); err != nil {
			return err
		}
	}
	return nil
}

// withDefault is the help of a flag or argument, with its default if it has one.
func withDefault(value *kong.Value) string {
	if !value.HasDefault {
		return value.Help
	}
	return value.Help + " (default " + value.Default + ")"
}

func isSecret(flag *kong.Flag) bool { return flag.Tag.Has("secret") }

// trial reads text as the flag would, and leaves the flag as it is. Its error says what
// is wrong without naming the flag.
func trial(flag *kong.Flag, text string) error {
	spare := reflect.New(flag.Target.Type()).Elem()
	err := flag.Parse(kong.Scan().PushTyped(text, kong.FlagValueToken), spare)
	if inner := errors.Unwrap(err); inner != nil { // kong puts the flag's name before it
		return inner
	}
	return err
}
