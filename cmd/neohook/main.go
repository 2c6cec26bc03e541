// Command neohook runs a webhook server and what belongs to it: see neohook --help.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/term"
)

// console is where a command writes: what was asked for to out, everything else to err.
type console struct {
	out, err io.Writer
	// terminal says that out is read by a person; colour, that it may be coloured.
	terminal, colour bool
}

func systemConsole() console {
	terminal := term.IsTerminal(int(os.Stdout.Fd()))
	_, plain := os.LookupEnv("NO_COLOR")
	return console{out: os.Stdout, err: os.Stderr, terminal: terminal, colour: terminal && !plain}
}

func (c console) printer() *printer {
	return &printer{out: c.out, pretty: c.terminal, colour: c.colour}
}

func main() {
	signalled, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ctx, cancel := context.WithCancel(context.Background())
	// The first signal begins an orderly end. From then on signals act as they do on any
	// program, so that a second one ends it at once.
	context.AfterFunc(signalled, func() { stop(); cancel() })

	os.Exit(run(ctx, os.Args[1:], os.Environ(), systemConsole()))
}

// The exit codes of the program.
const (
	exitOK     = 0
	exitFailed = 1 // it began and could not go on
	exitUsage  = 2 // a mistake in flags, environment or configuration file
)

// run carries out a command line and returns the exit code. An error is one line on
// console.err.
func run(ctx context.Context, args, environ []string, console console) int {
	chosen, err := load(args, environ, os.ReadFile, console.out)
	if err == nil {
		err = chosen.run(ctx, console)
	}
	if err == nil || errors.Is(err, errHelped) {
		return exitOK
	}
	// Joined errors have a line each, and those of the engine the name in front already.
	line := strings.ReplaceAll(strings.TrimPrefix(err.Error(), "neohook: "), "\n", "; ")
	_, _ = fmt.Fprintln(console.err, "neohook:", line) // there is nowhere else to say it
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitUsage
	}
	return exitFailed
}
