package bucket

import (
	"testing"

	"github.com/neohook/neohook/internal/planted"
)

// TestPlantedBugsAreFound puts mistakes into the code, one at a time, and wants the tests
// to find each.
func TestPlantedBugsAreFound(t *testing.T) {
	planted.Find(t, map[string]planted.Mistake{
		"lease counts from the answer":             {"seat.go", "s.Lease.renew(b.began)", "s.Lease.renew(now)"},
		"lease is trusted for too long":            {"doc.go", "trust = 7 * time.Second", "trust = 12 * time.Second"},
		"patience is too short":                    {"doc.go", "patience = 10 * time.Second", "patience = 6 * time.Second"},
		"lease goes by one clock":                  {"clock.go", "max(mono-c.mono, wall-c.wall, 0)", "max(mono-c.mono, 0)"},
		"clock that is set back is heard":          {"clock.go", "max(mono-c.mono, wall-c.wall, 0)", "wall-c.wall"},
		"patience goes by the wall clock":          {"seat.go", "s.sawAt.Short-before.since.Short >= patience", "s.sawAt.Long-before.since.Long >= patience"},
		"counter that moved is not noticed":        {"seat.go", "!known || anew || before.beat != node.Beat", "!known || anew"},
		"who has not looked goes on to count":      {"seat.go", "anew := !s.looked || now.Long", "anew := false && now.Long"},
		"lease outlives the node":                  {"seat.go", "	s.Lease.void()\n	s.buried, s.view = true, nil\n", "	s.buried, s.view = true, nil\n"},
		"engine is not told of its burial":         {"loop.go", "		l.engine.Buried()\n", ""},
		"dropping forgets to forget":               {"seat.go", "		clear(s.held)\n", ""},
		"buckets are released without being ended": {"seat.go", "len(lose) > 0 {", "len(lose) > store.BucketCount {"},
		"view of before a claim is acted upon":     {"seat.go", "if s.view = &view; b.done != s.done {", "if s.view = &view; false {"},
		"beat of an earlier node counts":           {"seat.go", "if b.node != s.node || s.buried {", "if s.buried {"},
		"claim in doubt is forgotten":              {"seat.go", "append(s.strange(), claim...)", "append(claim, claim...)"},
		"failed gain is taken for done":            {"seat.go", "			return // and again\n", ""},
		"everybody rounds up":                      {"share.go", "if i < store.BucketCount%len(all) {", "if store.BucketCount%len(all) > 0 {"},
		"who does not deliver has a share":         {"share.go", "if node.Delivers {", "if node.Key > 0 {"},
		"all claim the same":                       {"share.go", "		free = free[lacks:]\n", ""},
		"rest goes to whoever comes first":         {"share.go", "cmp.Or(cmp.Compare(b.owned, a.owned), cmp.Compare(a.node, b.node))", "cmp.Compare(a.owned, b.owned)"},
		"who resigns leaves nobody":                {"seat.go", "case !self || !other:", "case !self:"},
		"who resigns ends nothing":                 {"seat.go", "case len(s.held) > 0:\n		return Action{Kind: Lose", "case len(s.held) < 0:\n		return Action{Kind: Lose"},
		"losing has no end":                        {"loop.go", "		l.engine.Losing(limited, a.Buckets)", "		l.engine.Losing(ctx, a.Buckets)"},
		"burial cuts nothing short":                {"loop.go", "if l.seat.buried && l.lost != nil {", "if false && l.lost != nil {"},
		"nobody is suspended":                      {"loop.go", "			l.engine.Suspended(suspended)\n", ""},
		"end does not leave":                       {"loop.go", "if err := l.store.Leave(ctx); err != nil {", "if err := ctx.Err(); err != nil {"},
	}, "^Test", "BUCKET_RUNS=400")
}
