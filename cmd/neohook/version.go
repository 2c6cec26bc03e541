package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// version is set by release builds: -ldflags "-X main.version=v1.2.3".
var version string

// versionCommand prints what was built.
type versionCommand struct{}

func (versionCommand) run(_ context.Context, console console) error {
	info, _ := debug.ReadBuildInfo()
	_, err := fmt.Fprintln(console.out, describe(version, info))
	return err
}

// programVersion is what this program calls itself.
func programVersion() string {
	info, _ := debug.ReadBuildInfo()
	return buildVersion(version, info)
}

// describe tells version, commit and Go version in one line, as far as they are known: a
// build from a source archive has no commit.
func describe(version string, info *debug.BuildInfo) string {
	parts := []string{"neohook " + buildVersion(version, info)}
	if commit := buildSetting(info, "vcs.revision"); commit != "" {
		commit = commit[:min(12, len(commit))]
		if buildSetting(info, "vcs.modified") == "true" {
			commit += " with changes"
		}
		parts = append(parts, "commit "+commit)
	}
	parts = append(parts, runtime.Version()+" "+runtime.GOOS+"/"+runtime.GOARCH)
	return strings.Join(parts, ", ")
}

// buildVersion is the released version, else that of the module, else "devel".
func buildVersion(version string, info *debug.BuildInfo) string {
	if version != "" {
		return version
	}
	if info == nil || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "devel"
	}
	return info.Main.Version
}

func buildSetting(info *debug.BuildInfo, key string) string {
	if info == nil {
		return ""
	}
	for _, setting := range info.Settings {
		if setting.Key == key {
			return setting.Value
		}
	}
	return ""
}
