package httpapi_test

import (
	"testing"

	"github.com/neohook/neohook/internal/planted"
)

// mistakes of one line that the tests of who may do what must find.
var mistakes = map[string]planted.Mistake{
	"rights are not asked for":                       {"caller.go", "c.caller.May(c.op.needs)", "c.caller.May(access.Nothing)"},
	"a confined caller does what is for all":         {"caller.go", "may = may && !c.caller.IsConfined()", "_ = may"},
	"anybody is the operator":                        {"caller.go", "may = may && c.isOperator()", "_ = may"},
	"a confined caller of the operator's is one too": {"caller.go", "!c.caller.IsConfined() && c.caller.Organisation ==", "c.caller.Organisation =="},
	"another application is found by its id":         {"caller.go", "if strings.HasPrefix(string(ref), webhook.TenantPrefix) {\n\t\treturn notFound(\"Entity not found\")", "if strings.HasPrefix(string(ref), webhook.TenantPrefix) {\n\t\treturn nil"},
	"another application is found by its uid":        {"caller.go", "named.ID != c.caller.Tenant ||", "named.ID == \"\" ||"},
	"who acts elsewhere need not be the operator":    {"token.go", "case !c.isOperator():", "case false:"},
	"a token is got from any organisation":           {"../token.go", "o.engine.store.TokenOf(ctx, string(o.id), key, now())", "o.engine.store.TokenOf(ctx, \"org_other\", key, now())"},
	"an endpoint is found from any application":      {"../store/memstore/directory.go", "ep := db.endpoints[key]; ep != nil && !ep.deleted && ep.Tenant == tenant {", "ep := db.endpoints[key]; ep != nil && !ep.deleted {"},
	"the metrics are everybody's":                    {"metrics.go", "err = c.authorise()", "err = nil"},
}

func TestPlantedBugsAreFound(t *testing.T) {
	planted.Find(t, mistakes, "^Test(Every|No|Confined|Operator|Tokens$)")
}
