package main

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

// files is a file system of a few names for load.
func files(contents map[string]string) func(string) ([]byte, error) {
	return func(name string) ([]byte, error) {
		text, found := contents[name]
		if !found {
			return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		return []byte(text), nil
	}
}

// loadServe is the settings of serve under these flags, environment and file c.yaml.
func loadServe(t *testing.T, args, environ []string, file string) settings {
	t.Helper()
	chosen, err := load(append([]string{"serve"}, args...), environ, files(map[string]string{"c.yaml": file}), new(bytes.Buffer))
	if err != nil {
		t.Fatalf("load(%q, %q): %v", args, environ, err)
	}
	return chosen.(*serveCommand).settings
}

func TestFlagWinsOverEnvironmentOverFileOverDefault(t *testing.T) {
	const file = "log-level: error\nlisten: 127.0.0.1:3\negress-allow: [10.0.0.0/8, 192.168.0.0/16]\nsvix-headers: true\n"
	withFile := []string{"--config", "c.yaml"}
	blocks := func(texts ...string) []cidr {
		var all []cidr
		for _, text := range texts {
			all = append(all, cidr(netip.MustParsePrefix(text)))
		}
		return all
	}
	tests := map[string]struct {
		args, environ []string
		pick          func(settings) any
		want          any
	}{
		"default": {
			pick: func(s settings) any { return s.Listen }, want: address("127.0.0.1:8071"),
		},
		"file over default": {
			args: withFile,
			pick: func(s settings) any { return s.Listen }, want: address("127.0.0.1:3"),
		},
		"file named by the environment": {
			environ: []string{"NEOHOOK_CONFIG=c.yaml"},
			pick:    func(s settings) any { return s.Listen }, want: address("127.0.0.1:3"),
		},
		"environment over file": {
			args: withFile, environ: []string{"NEOHOOK_LISTEN=127.0.0.1:2"},
			pick: func(s settings) any { return s.Listen }, want: address("127.0.0.1:2"),
		},
		"empty variable is none": {
			args: withFile, environ: []string{"NEOHOOK_LISTEN="},
			pick: func(s settings) any { return s.Listen }, want: address("127.0.0.1:3"),
		},
		"flag over environment and file": {
			args: append([]string{"--listen=127.0.0.1:1"}, withFile...), environ: []string{"NEOHOOK_LISTEN=127.0.0.1:2"},
			pick: func(s settings) any { return s.Listen }, want: address("127.0.0.1:1"),
		},
		"flag that says the default over the file": {
			args: append([]string{"--log-level=info"}, withFile...),
			pick: func(s settings) any { return s.LogLevel }, want: logLevel(slog.LevelInfo),
		},
		"flag that says no over the file": {
			args: append([]string{"--svix-headers=false"}, withFile...),
			pick: func(s settings) any { return s.SvixHeaders }, want: false,
		},
		"list of the file": {
			args: withFile,
			pick: func(s settings) any { return s.EgressAllow }, want: blocks("10.0.0.0/8", "192.168.0.0/16"),
		},
		"list of the environment replaces that of the file": {
			args: withFile, environ: []string{"NEOHOOK_EGRESS_ALLOW=127.0.0.0/8,::1/128"},
			pick: func(s settings) any { return s.EgressAllow }, want: blocks("127.0.0.0/8", "::1/128"),
		},
		"repeated flag": {
			args: []string{"--egress-allow=127.0.0.0/8", "--egress-allow=::1/128"},
			pick: func(s settings) any { return s.EgressAllow }, want: blocks("127.0.0.0/8", "::1/128"),
		},
		"secret from the environment": {
			environ: []string{`NEOHOOK_KEYSET={"primaryKeyId":1}`},
			pick:    func(s settings) any { return s.Keyset }, want: `{"primaryKeyId":1}`,
		},
		"schedule of no waits is not the default one": {
			args: []string{"--retry-schedule=none"},
			pick: func(s settings) any { return s.RetrySchedule }, want: schedule{},
		},
		"default schedule": {
			pick: func(s settings) any { return s.RetrySchedule.String() },
			want: "5s,5m,30m,2h,5h,10h,10h",
		},
		"duration": {
			args: []string{"--grace=90s"},
			pick: func(s settings) any { return s.Grace }, want: span(90 * time.Second),
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := test.pick(loadServe(t, test.args, test.environ, file))
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %#v, want %#v", got, test.want)
			}
		})
	}
}

func TestOtherCommandsTakeNoSettingsOfTheServer(t *testing.T) {
	environ := []string{"NEOHOOK_LISTEN=127.0.0.1:2", "NEOHOOK_DATA=elsewhere"}
	chosen, err := load([]string{"receive"}, environ, files(nil), new(bytes.Buffer))
	if err != nil {
		t.Fatal(err)
	}
	if got := chosen.(*receiveCommand).Listen; got != "127.0.0.1:9000" {
		t.Errorf("receive listens on %s under NEOHOOK_LISTEN, want its own default", got)
	}
	chosen, err = load([]string{"token"}, environ, files(nil), new(bytes.Buffer))
	if err != nil {
		t.Fatal(err)
	}
	if got := chosen.(*tokenCommand).Data; got != "elsewhere" {
		t.Errorf("token looks into %q, want the folder of NEOHOOK_DATA", got)
	}
}

func TestTokenTakesAFileWrittenForServe(t *testing.T) {
	read := files(map[string]string{"c.yaml": "data: kept\nlisten: 127.0.0.1:1\n"})
	chosen, err := load([]string{"token", "--config=c.yaml"}, nil, read, new(bytes.Buffer))
	if err != nil {
		t.Fatal(err)
	}
	if got := chosen.(*tokenCommand).Data; got != "kept" {
		t.Errorf("token looks into %q, want the folder of the file", got)
	}
}

func TestNoGraceIsNotTheDefaultGrace(t *testing.T) {
	options := loadServe(t, []string{"--grace=0s"}, nil, "").options(nil)
	if options.Grace == 0 || options.Grace > time.Millisecond {
		t.Errorf("the engine is given a grace of %v, want next to none: 0 is its default", options.Grace)
	}
}

func TestMistakesAreNamedWithTheirPlace(t *testing.T) {
	serve := func(args ...string) []string { return append([]string{"serve"}, args...) }
	withFile := serve("--config", "c.yaml")
	tests := map[string]struct {
		args, environ []string
		file          string
		want          string
	}{
		"no command":          {args: nil, want: `expected one of "serve", "token", "migrate", "recount", "receive", ...; neohook --help tells of the commands`},
		"unknown command":     {args: []string{"server"}, want: `unknown command server, did you mean "serve"?; neohook --help`},
		"flag before command": {args: []string{"--data=x", "serve"}, want: "unknown flag --data; neohook --help"},
		"unknown flag":        {args: serve("--listn=x"), want: `unknown flag --listn, did you mean "--listen"?`},
		"surplus argument":    {args: serve("now"), want: "unexpected argument now"},
		"flag without value":  {args: serve("--listen"), want: "--listen needs a value"},
		"list without value":  {args: serve("--egress-allow"), want: "--egress-allow needs a value"},
		"folder without name": {args: serve("--data="), want: "--data: names no folder"},
		"bad address":         {args: serve("--listen=8071"), want: `--listen: "8071" is not HOST:PORT`},
		"port too high":       {args: serve("--listen=:65536"), want: `--listen: ":65536" is not HOST:PORT`},
		"bad block":           {args: serve("--egress-allow=localhost"), want: `--egress-allow: "localhost" is not a block`},
		"bad level":           {args: serve("--log-level=loud"), want: `--log-level: "loud" is not one of debug, info, warn, error`},
		"bad format":          {args: serve("--log-format=xml"), want: `--log-format: "xml" is not one of text, json`},
		"bad size":            {args: serve("--max-payload=1 MB"), want: `--max-payload: "1 MB" is not a size`},
		"bad count":           {args: serve("--max-in-flight=0"), want: `--max-in-flight: "0" is not a whole number of 1 or more`},
		"bad limit":           {args: serve("--max-tenant-backlog=0"), want: `--max-tenant-backlog: "0" is not a whole number of 1 or more, or none`},
		"bad schedule":        {args: serve("--retry-schedule=5s,soon"), want: `--retry-schedule: "soon" is not a wait`},
		"bad duration":        {args: serve("--grace=long"), want: `--grace: "long" is not a time`},
		"secret as a flag":    {args: serve("--keyset={}"), want: "--keyset is not taken from the command line"},
		"unknown variable":    {args: serve(), environ: []string{"NEOHOOK_LOGLEVEL=info"}, want: "unknown variable NEOHOOK_LOGLEVEL in the environment, did you mean NEOHOOK_LOG_LEVEL?"},
		"bad variable":        {args: serve(), environ: []string{"NEOHOOK_LOG_LEVEL=loud"}, want: `NEOHOOK_LOG_LEVEL: "loud" is not one of`},
		"missing file":        {args: serve("--config", "gone.yaml"), want: "configuration file: open gone.yaml: file does not exist"},
		"unknown key":         {args: withFile, file: "# hello\nlitsen: 127.0.0.1:1\n", want: `c.yaml:2: unknown key "litsen", did you mean listen?`},
		"unknown, unlike any": {args: withFile, file: "wibblewobble: 1\n", want: `c.yaml:1: unknown key "wibblewobble"; known are data, database, role,`},
		"key given twice":     {args: withFile, file: "data: a\ndata: b\n", want: `c.yaml:2: data is given twice`},
		"bad value in a file": {args: withFile, file: "data: a\nlog-level: loud\n", want: `c.yaml:2: log-level: "loud" is not one of`},
		"key without value":   {args: withFile, file: "listen:\n", want: "c.yaml:1: listen: has no value"},
		"nested":              {args: withFile, file: "listen:\n  host: x\n", want: "c.yaml:1: listen: want a plain value or a list"},
		"not settings":        {args: withFile, file: "- listen\n", want: "c.yaml:1: want settings"},
		"not YAML":            {args: withFile, file: "a: b: c\n", want: "c.yaml: "},
		"second document":     {args: withFile, file: "grace: 1s\n---\ngrace: 2s\n", want: "c.yaml:2: a second document begins here"},
		"config in a file":    {args: withFile, file: "config: d.yaml\n", want: `c.yaml:1: unknown key "config"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := load(test.args, test.environ, files(map[string]string{"c.yaml": test.file}), new(bytes.Buffer))
			if err == nil {
				t.Fatalf("load accepts it, want an error with %q", test.want)
			}
			if _, ok := errors.AsType[*usageError](err); !ok {
				t.Errorf("error %v is no usageError: the exit code would not be 2", err)
			}
			if text := err.Error(); !strings.Contains(text, test.want) || strings.Contains(text, "\n") {
				t.Errorf("error is %q,\nwant one line with %q", text, test.want)
			}
		})
	}
}

func TestVariablesOfOthersAreLetBe(t *testing.T) {
	loadServe(t, nil, []string{
		"PATH=/bin", "NEOHOOKS=1",
		"NEOHOOK_SERVICE_HOST=10.0.0.1", "NEOHOOK_SERVICE_PORT=8071", "NEOHOOK_SERVICE_PORT_HTTP=8071",
		"NEOHOOK_PORT=tcp://10.0.0.1:8071", "NEOHOOK_PORT_8071_TCP_ADDR=10.0.0.1", "NEOHOOK_WEB_SERVICE_HOST=10.0.0.2",
		"NEOHOOK_TEST_POSTGRES=x", "NEOHOOK_TOKEN=nhk_x",
	}, "")
}

func TestEmptyFileIsNoSettings(t *testing.T) {
	for _, file := range []string{"", "# nothing\n", "---\n", "{}\n"} {
		if got := loadServe(t, []string{"--config=c.yaml"}, nil, file).Listen; got != "127.0.0.1:8071" {
			t.Errorf("under the file %q listen is %s, want the default", file, got)
		}
	}
}

func TestHelpIsPrintedAndNothingRuns(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"serve", "--help"}, {"serve", "-h"}} {
		var out bytes.Buffer
		_, err := load(args, nil, files(nil), &out)
		if !errors.Is(err, errHelped) || !strings.Contains(out.String(), "neohook") {
			t.Errorf("load(%q): error %v, output %q; want help", args, err, out.String())
		}
	}
}

func TestSettingsHideSecretsInLogs(t *testing.T) {
	const key = "the-key-itself"
	s := loadServe(t, []string{"--egress-allow=10.0.0.0/8"}, []string{"NEOHOOK_KEYSET=" + key}, "")
	for _, format := range []logFormat{"text", "json"} {
		var out bytes.Buffer
		newLogger(&out, logLevel(slog.LevelInfo), format).Info("starting", "settings", s)
		text := out.String()
		if strings.Contains(text, key) {
			t.Errorf("%s log shows the secret: %s", format, text)
		}
		for _, want := range []string{"[redacted]", "egress_allow", "10.0.0.0/8", "127.0.0.1:8071", "5s,5m,30m,2h,"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s log lacks %q: %s", format, want, text)
			}
		}
	}
}

func TestDistanceCountsEdits(t *testing.T) {
	tests := map[string]struct {
		a, b string
		want int
	}{
		"same":     {"listen", "listen", 0},
		"inserted": {"listn", "listen", 1},
		"deleted":  {"llisten", "listen", 1},
		"replaced": {"lissen", "listen", 1},
		"swapped":  {"litsen", "listen", 1},
		"nothing":  {"", "data", 4},
	}
	for name, test := range tests {
		if got := distance(test.a, test.b); got != test.want {
			t.Errorf("%s: distance(%q, %q) = %d, want %d", name, test.a, test.b, got, test.want)
		}
	}
}

func FuzzFileNeverPanics(f *testing.F) {
	for _, seed := range []string{"", "listen: x\n", "egress-allow: [a, b]\n", "a: &a [*a]\n", "? [x]\n: y\n", "listen: &x !!null\ndata: *x\n"} {
		f.Add([]byte(seed))
	}
	known := []string{"data", "listen", "egress-allow"}
	f.Fuzz(func(t *testing.T, text []byte) {
		found, err := fromFile("c.yaml", text, known)
		if err != nil && strings.TrimSpace(err.Error()) == "" {
			t.Errorf("error without a message for %q", text)
		}
		for name := range found {
			if name != "data" && name != "listen" && name != "egress-allow" {
				t.Errorf("unknown name %q was taken from %q", name, text)
			}
		}
	})
}
