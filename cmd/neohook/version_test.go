package main

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestVersionIsTheMostExactThatIsKnown(t *testing.T) {
	tail := ", " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH
	commit := []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.modified", Value: "false"}}
	changed := []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.modified", Value: "true"}}
	tests := map[string]struct {
		version string
		info    *debug.BuildInfo
		want    string
	}{
		"release":               {"v1.2.3", &debug.BuildInfo{Settings: commit}, "neohook v1.2.3, commit 0123456789ab"},
		"installed by version":  {"", &debug.BuildInfo{Main: debug.Module{Version: "v1.2.3"}}, "neohook v1.2.3"},
		"checkout":              {"", &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: commit}, "neohook devel, commit 0123456789ab"},
		"checkout with changes": {"", &debug.BuildInfo{Settings: changed}, "neohook devel, commit 0123456789ab with changes"},
		"nothing known":         {"", nil, "neohook devel"},
	}
	for name, test := range tests {
		if got := describe(test.version, test.info); got != test.want+tail {
			t.Errorf("%s: %q, want %q", name, got, test.want+tail)
		}
	}
}
