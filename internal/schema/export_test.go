package schema

import "regexp/syntax"

func programLength(text string) int {
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return 0
	}
	compiled, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return 0
	}
	return len(compiled.Inst)
}
