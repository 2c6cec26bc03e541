package memstore_test

import (
	"testing"

	"github.com/neohook/neohook/internal/planted"
)

// TestPlantedBugsAreFound puts mistakes into the model of many nodes, one at a time, and
// wants the cases of storetest to find each.
func TestPlantedBugsAreFound(t *testing.T) {
	planted.Find(t, map[string]planted.Mistake{
		"nobody is fenced":                   {"cluster.go", "h.joined && db.cluster.nodes[h.key] == nil", "h.joined && db.cluster.nodes[h.key] == nil && false"},
		"a change is not fenced":             {"token.go", `s.write(ctx, "RefuseToken"`, `s.do(ctx, "RefuseToken"`},
		"who beats is buried":                {"cluster.go", "other.Beat != beat:", "other.Beat < beat:"},
		"who has left keeps its buckets":     {"cluster.go", "		if owner == key {\n			db.cluster.owners[bucket] = 0", "		if owner == key {\n			db.cluster.owners[bucket] = owner"},
		"claim takes what others have":       {"cluster.go", "			if *owner == 0 {", "			if *owner != n.as.key {"},
		"claim says nothing of what one had": {"cluster.go", "			if *owner == n.as.key {\n				owned", "			if *owner == n.as.key && !n.as.owned[bucket] {\n				owned"},
		"claim leaves old signals":           {"cluster.go", "				db.voidSignals(bucket)\n", ""},
		"claim again ends signals":           {"cluster.go", "			if *owner == n.as.key {\n				owned", "			if *owner == n.as.key {\n				db.voidSignals(bucket)\n				owned"},
		"release counts on":                  {"cluster.go", "		n.as.owned[bucket] = false\n", "		_ = bucket\n"},
		"owner is told of its own":           {"signal.go", "p == nil || p.by.owns(s.Tenant)", "p == nil"},
		"each event is told of":              {"signal.go", "		same.Event = 0\n", "		same.Event = s.Event\n"},
		"the highest event is told of":       {"signal.go", "min(p.all[at].Event, s.Event)", "max(p.all[at].Event, s.Event)"},
		"refused writes are told of":         {"signal.go", "	if err != nil {\n		return err\n	}\n	for _, p := range gathered", "	_ = err\n	for _, p := range gathered"},
		"all hear of every bucket":           {"signal.go", "p.node == 0 && h.owns(p.Tenant)", "p.node == 0"},
		"one hears of oneself":               {"signal.go", "key != p.by.key && is(n)", "is(n)"},
		"everybody watches":                  {"signal.go", `n.Watches != "" && n.Watches == t.Organisation`, `n.Watches != ""`},
		"batch ends nothing":                 {"commit.go", "		db.endSignals(batch.Acted)\n", ""},
		"batch hears nothing":                {"commit.go", "	batch.Heard = heard\n", "	_ = heard\n"},
		"others keep what fails":             {"signal.go", "p == nil || !p.by.joined || p.by.owns(tenant)", "p == nil || tenant != 0"},
		"nothing says that there is more":    {"signal.go", "			heard.More = true\n", ""},
		"waiting goes on where nobody owns":  {"signal.go", "!pending || db.addressee(p) == 0", "!pending || db.addressee(p) == -1"},
		"lanes of all buckets":               {"cluster.go", "return db.lanes(after, limit, in(buckets)), nil", "return db.lanes(after, limit, anywhere), nil"},
		"a send that ends is not told of":    {"send.go", "			db.post(store.Signal{Kind: store.SignalEnded, Tenant: o.Tenant, Endpoint: o.Endpoint, Event: o.Event, Send: o.Send})\n", ""},
	}, "^TestCluster$")
}
