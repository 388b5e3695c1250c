package httpapi

import (
	"context"
	"fmt"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/errcode"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/lexer"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"github.com/parley-chat/parley/internal/chat"
)

// Limits bound what one document may ask for. Zero is a limit too.
type Limits struct {
	Tokens     int // lexical tokens of the document
	Depth      int // nested fields of an operation
	Aliases    int // in the document
	Directives int // in the document
	Complexity int // objects of an operation, see weight
}

// maxSelections bounds the fields and spreads of an operation after its fragments are put in place. It guards the
// validator and the executor against fragments that unfold exponentially, and nobody writes that many by hand.
const maxSelections = 10_000

// maxRepeats bounds how often one selection set, inline fragments included, names the same field: the validator compares
// all of them with each other. Fragments on each type of event may well name the same one.
const maxRepeats = 50

// limiter refuses documents before they are validated, which is not bounded. It parses on its own and looks at each
// fragment once, so that a refusal takes time in proportion to the document.
type limiter struct {
	max           Limits
	introspection bool
	schema        *ast.Schema
	fine          cache[*ast.QueryDocument] // documents within all limits that do not depend on variables
}

func (*limiter) ExtensionName() string                   { return "Limits" }
func (*limiter) Validate(graphql.ExecutableSchema) error { return nil }

func (l *limiter) MutateOperationParameters(ctx context.Context, raw *graphql.RawParams) *gqlerror.Error {
	doc, ok := l.fine.Get(ctx, raw.Query)
	if !ok {
		if n, err := countTokens(raw.Query); err != nil {
			return nil //nolint:nilerr // the executor parses again and says what is wrong
		} else if n > l.max.Tokens {
			return tooComplex("tokens", n, l.max.Tokens, "send a shorter document")
		}
		var err error
		if doc, err = parser.ParseQuery(&ast.Source{Input: raw.Query}); err != nil {
			return nil //nolint:nilerr // as above
		}
		if err := l.checkDocument(doc); err != nil {
			return err
		}
		l.fine.Add(ctx, raw.Query, doc)
	}

	op := doc.Operations.ForName(raw.OperationName)
	if op == nil {
		return nil
	}
	objects := newWeigher(l.schema, doc, op, raw.Variables).operation(op).objects
	if objects > l.max.Complexity {
		return tooComplex("complexity", objects, l.max.Complexity, "ask for smaller pages (first, last) or fewer objects")
	}
	return nil
}

// MutateOperationContext turns introspection on, which gqlgen has off by default.
func (l *limiter) MutateOperationContext(_ context.Context, op *graphql.OperationContext) *gqlerror.Error {
	op.DisableIntrospection = !l.introspection
	return nil
}

func (l *limiter) checkDocument(doc *ast.QueryDocument) *gqlerror.Error {
	var s syntax
	for _, op := range doc.Operations {
		s.directives += len(op.Directives)
		for _, v := range op.VariableDefinitions {
			s.directives += len(v.Directives)
		}
		s.add(op.SelectionSet, map[string]int{})
	}
	for _, f := range doc.Fragments {
		s.directives += len(f.Directives)
		s.add(f.SelectionSet, map[string]int{})
	}
	switch {
	case s.aliases > l.max.Aliases:
		return tooComplex("aliases", s.aliases, l.max.Aliases, "send several requests")
	case s.directives > l.max.Directives:
		return tooComplex("directives", s.directives, l.max.Directives, "use fewer")
	case s.repeats > maxRepeats:
		return tooComplex("repeats", s.repeats, maxRepeats, "name each field once")
	case s.introspects && !l.introspection:
		return coded(errcode.ValidationFailed, "introspection is off on this server")
	}

	var most weight
	if len(doc.Operations) == 0 {
		return nil
	}
	w := newWeigher(l.schema, doc, doc.Operations[0], nil)
	for _, op := range doc.Operations {
		most = most.or(w.operation(op))
	}
	for _, f := range doc.Fragments {
		most = most.or(w.fragment(f.Name))
	}
	switch {
	case w.cycle != "":
		return coded(errcode.ValidationFailed, fmt.Sprintf("Cannot spread fragment %q within itself.", w.cycle))
	case most.depth > l.max.Depth:
		return tooComplex("depth", most.depth, l.max.Depth, "nest fewer fields")
	case most.selections > maxSelections:
		return tooComplex("selections", most.selections, maxSelections, "spread fewer fragments")
	}
	return nil
}

// syntax counts what stands in a document, without putting fragments in place.
type syntax struct {
	aliases, directives int
	repeats             int // of the field that a selection set names most often
	introspects         bool
}

// add counts a selection set; named is how often it has named each field so far.
func (s *syntax) add(set ast.SelectionSet, named map[string]int) {
	for _, sel := range set {
		switch sel := sel.(type) {
		case *ast.Field:
			if sel.Alias != sel.Name {
				s.aliases++
			}
			named[sel.Alias]++
			s.repeats = max(s.repeats, named[sel.Alias])
			s.directives += len(sel.Directives)
			s.introspects = s.introspects || isIntrospection(sel.Name)
			if len(sel.SelectionSet) > 0 {
				s.add(sel.SelectionSet, map[string]int{})
			}
		case *ast.InlineFragment:
			s.directives += len(sel.Directives)
			s.add(sel.SelectionSet, named)
		case *ast.FragmentSpread:
			s.directives += len(sel.Directives)
		}
	}
}

func isIntrospection(field string) bool { return field == "__schema" || field == "__type" }

func countTokens(text string) (int, error) {
	lex := lexer.New(&ast.Source{Input: text})
	for n := 0; ; {
		t, err := lex.ReadToken()
		switch {
		case err != nil:
			return n, err
		case t.Kind == lexer.EOF:
			return n, nil
		case t.Kind != lexer.Comment:
			n++
		}
	}
}

func tooComplex(limit string, value, maximum int, advice string) *gqlerror.Error {
	many := fmt.Sprint(value)
	if value >= saturated {
		many = "over a billion"
	}
	err := coded(string(chat.CodeTooComplex), fmt.Sprintf("%s: %s, at most %d; %s", limit, many, maximum, advice))
	err.Extensions["limit"], err.Extensions["value"], err.Extensions["maximum"] = limit, value, maximum
	return err
}

// withoutSuggestions are the validator's rules, but for those that answer a wrong name with right ones. gqlgen itself
// replaces the two that SetDisableSuggestion knows.
func withoutSuggestions() *rules.Rules {
	r := rules.NewDefaultRules()
	for _, name := range []string{"KnownArgumentNames", "KnownTypeNames", "ValuesOfCorrectType"} {
		r.RemoveRule(name)
	}
	r.AddRule("KnownArgumentNamesWithoutSuggestions", rules.KnownArgumentNamesRuleWithoutSuggestions.RuleFunc)
	r.AddRule("KnownTypeNamesWithoutSuggestions", rules.KnownTypeNamesRuleWithoutSuggestions.RuleFunc)
	r.AddRule("ValuesOfCorrectTypeWithoutSuggestions", rules.ValuesOfCorrectTypeRuleWithoutSuggestions.RuleFunc)
	return r
}
