package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// command is something to do, with all its settings in place.
type command interface {
	run(ctx context.Context, console console) error
}

// commandLine is the grammar of the command line.
type commandLine struct {
	Serve   serveCommand   `cmd:"" help:"Run the server: REST API, events on disk and their delivery, in one process."`
	Token   tokenCommands  `cmd:"" help:"Print the API token of a data folder, or make, list and revoke others."`
	Migrate migrateCommand `cmd:"" help:"Bring the tables in a PostgreSQL database up to date for this version."`
	Recount recountCommand `cmd:"" help:"Count the statistics of a data folder, or database, anew from its history."`
	Receive receiveCommand `cmd:"" help:"Receive webhooks, check their signatures and print them: for people in a terminal, as lines of JSON elsewhere."`
	Demo    demoCommand    `cmd:"" help:"See it work: server, receiver and sample events in one process, on a folder that is thrown away."`
	Version versionCommand `cmd:"" help:"Print the version."`
}

// usageError is a mistake in the command line, the environment or the configuration
// file: nothing was begun.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// errHelped is returned where help was asked for and has been printed.
var errHelped = errors.New("help was printed")

// load resolves the command line. Each setting of a command that has --config is taken
// from its flag, else from its NEOHOOK_ variable, else from the file, else it has its
// default; a list in one of them replaces the list of the next. It takes the environment
// as a list, and not as a look-up, to find misspelt variables. Help goes to stdout.
//
// A file is read into kong's own field list through a resolver, so that there is no
// second list to keep in step, as there would be with a configuration library beside it.
func load(args, environ []string, readFile func(string) ([]byte, error), stdout io.Writer) (command, error) {
	var grammar commandLine
	helped := false
	parser, err := kong.New(&grammar,
		kong.Name("neohook"),
		kong.Description("Sends webhooks: has events on disk before it accepts them, signs them, and delivers them to every endpoint that wants them, again and again as the retry schedule says."),
		kong.Writers(stdout, io.Discard),
		kong.Exit(func(int) { helped = true }),
		kong.ValueFormatter(withDefault),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Resolvers(&resolver{environ: environ, readFile: readFile}),
	)
	if err != nil {
		return nil, fmt.Errorf("command line grammar: %w", err)
	}
	parsed, err := parser.Parse(args)
	if helped {
		return nil, errHelped
	}
	if err != nil {
		return nil, &usageError{plainly(err)}
	}
	for _, step := range parsed.Path {
		if step.Flag != nil && !step.Resolved && isSecret(step.Flag) {
			return nil, &usageError{fmt.Errorf(
				"--%s is not taken from the command line, which others on the machine can read; set %s or use the file of --config",
				step.Flag.Name, envName(step.Flag.Name))}
		}
	}
	chosen, ok := parsed.Selected().Target.Addr().Interface().(command)
	if !ok {
		return nil, fmt.Errorf("%s has nothing to run", parsed.Command())
	}
	return chosen, nil
}

// plainly takes away what kong puts before a source's own message, and tells a command
// from an argument of one.
func plainly(err error) error {
	if source, ok := errors.AsType[*sourceError](err); ok {
		return source
	}
	if parsing, ok := errors.AsType[*kong.ParseError](err); ok && parsing.Context.Selected() == nil {
		text := strings.Replace(err.Error(), "unexpected argument", "unknown command", 1)
		return fmt.Errorf("%s; neohook --help tells of the commands", text)
	}
	flag, text, found := strings.Cut(err.Error(), ": ")
	if found && (strings.HasSuffix(text, `got "EOL" (<EOL>)`) || strings.HasPrefix(text, "missing value")) {
		return fmt.Errorf("%s needs a value", flag)
	}
	return err
}

// resolver gives kong the values of environment and file. The file of --config is known
// only once the command line has been parsed, so both are read at the first question.
type resolver struct {
	environ  []string
	readFile func(string) ([]byte, error)

	sources []source // the stronger first; nil before the first question
}

func (r *resolver) Validate(*kong.Application) error { return nil }

// Resolve returns the value of a flag that is not on the command line, or nil.
func (r *resolver) Resolve(parsed *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
	config := flagNamed(parent.Flags, "config")
	if config == nil || flag.Name == "help" {
		return nil, nil
	}
	if r.sources == nil {
		if err := r.read(parsed.FlagValue(config)); err != nil {
			return nil, &sourceError{err}
		}
	}
	for _, source := range r.sources {
		if value, err := source.value(flag); value != nil || err != nil {
			return value, err
		}
	}
	return nil, nil
}

func (r *resolver) read(config any) error {
	var names []string
	err := eachSetting(new(settings), func(flag *kong.Flag) error {
		names = append(names, flag.Name)
		return nil
	})
	if err != nil {
		return err
	}
	environment, err := fromEnvironment(r.environ, names)
	if err != nil {
		return err
	}
	r.sources = []source{environment}

	path, _ := config.(string)
	if path == "" {
		path = environment["config"].text
	}
	if path == "" {
		return nil
	}
	text, err := r.readFile(path)
	if err != nil {
		return fmt.Errorf("configuration file: %w", err)
	}
	file, err := fromFile(path, text, without(names, "config"))
	if err != nil {
		return err
	}
	r.sources = append(r.sources, file)
	return nil
}

func flagNamed(flags []*kong.Flag, name string) *kong.Flag {
	for _, flag := range flags {
		if flag.Name == name {
			return flag
		}
	}
	return nil
}

func without(names []string, name string) []string {
	var rest []string
	for _, n := range names {
		if n != name {
			rest = append(rest, n)
		}
	}
	return rest
}
