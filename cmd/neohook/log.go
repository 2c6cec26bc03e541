package main

import (
	"io"
	"log/slog"
)

// newLogger returns the program's log, in the format and from the level asked for.
func newLogger(out io.Writer, level logLevel, format logFormat) *slog.Logger {
	options := &slog.HandlerOptions{Level: slog.Level(level)}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(out, options))
	}
	return slog.New(slog.NewTextHandler(out, options))
}
