package live_test

import (
	"context"
	"maps"
	"slices"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/executor"

	"github.com/parley-chat/parley/graph/generated"
	"github.com/parley-chat/parley/internal/transport/live"
)

func operation(exec *executor.Executor, query string, vars map[string]any) (*graphql.OperationContext, error) {
	oc, errs := exec.CreateOperationContext(graphql.StartOperationTrace(context.Background()), &graphql.RawParams{Query: query, Variables: vars})
	if len(errs) > 0 {
		return nil, errs
	}
	return oc, nil
}

func TestKeys(t *testing.T) {
	t.Parallel()
	es := generated.NewExecutableSchema(generated.Config{Resolvers: &root{}})
	exec := executor.New(es)
	type op struct {
		query string
		vars  map[string]any
	}
	one, two, after := conv(1).String(), conv(2).String(), at(5)
	v := func(c string) map[string]any { return map[string]any{"c": c, "x": c, "after": after} }
	same := [][]op{ // equal within a line, different between lines
		{
			{`subscription($c:ID!){messageAdded(conversationId:$c){cursor}}`, v(one)},
			{`subscription X($after:Cursor $c:ID!){messageAdded(after:$after conversationId:$c){...on MessageEvent{cursor}}}`, v(one)},
			{`subscription($x:ID!){messageAdded(conversationId:$x){...F}} fragment F on MessageEvent{...{cursor}}`, v(one)},
			{`subscription($x:ID="` + one + `"){messageAdded(conversationId:$x after:null){cursor}}`, nil},
		},
		{{`subscription{messageAdded(conversationId:"` + one + `"){cursor}}`, nil}}, // a literal is no variable: less is shared, never too much
		{{`subscription($c:ID!){messageAdded(conversationId:$c){cursor}}`, v(two)}},
		{{`subscription($c:ID!){messageAdded(conversationId:$c){a:cursor}}`, v(one)}},
		{{`subscription($c:ID!){a:messageAdded(conversationId:$c){cursor}}`, v(one)}},
		{{`subscription($c:ID!){messageAdded(conversationId:$c){cursor __typename}}`, v(one)}},
		{{`subscription($c:ID! $b:Boolean!){messageAdded(conversationId:$c){cursor @skip(if:$b)}}`, map[string]any{"c": one, "b": true}}},
		{{`subscription($c:ID! $b:Boolean!){messageAdded(conversationId:$c){cursor @skip(if:$b)}}`, map[string]any{"c": one, "b": false}}},
		{{`subscription{events{cursor}}`, nil}, {`subscription{events(after:"` + after + `"){...on Event{cursor}}}`, nil}},
		{{`subscription{events{...on MessageAdded{cursor}}}`, nil}},
		{{`subscription{events(types:[MESSAGE_ADDED]){cursor}}`, nil}},
		{{`subscription($t:[EventType!]){events(types:$t){cursor}}`, map[string]any{"t": []any{"MESSAGE_ADDED"}}}},
	}
	seen := map[string]int{}
	for i, line := range same {
		for j, o := range line {
			oc, err := operation(exec, o.query, o.vars)
			if err != nil {
				t.Fatal(o.query, err)
			}
			k, viewer, err := live.Key(es.Schema(), oc)
			if err != nil || len(viewer) > 0 {
				t.Fatal(o.query, err, viewer)
			}
			if was, ok := seen[k]; ok && was != i || j > 0 && !ok {
				t.Errorf("line %d, operation %d", i, j)
			}
			seen[k] = i
		}
	}
}

func TestViewerTypes(t *testing.T) {
	t.Parallel()
	es := generated.NewExecutableSchema(generated.Config{Resolvers: &root{}})
	exec := executor.New(es)
	var all []string
	for _, d := range es.Schema().GetPossibleTypes(es.Schema().Types["Event"]) {
		all = append(all, d.Name)
	}
	slices.Sort(all)
	for q, want := range map[string][]string{
		`{events{cursor actor{username}}}`:                                                                    nil,
		`{events{actor{relationship}}}`:                                                                       all,
		`{events{cursor ...on ConversationUpdated{conversation{unreadCount}}}}`:                               {"ConversationUpdated"},
		`{events{...F}} fragment F on ConversationUpdated{...G} fragment G on Event{actor{presence{status}}}`: {"ConversationUpdated"},
		`{events{...on MessageEvent{message{conversation{role}}}}}`:                                           {"CaughtUp", "MessageAdded"},
		`{events{...on SessionStarted{session{current}} ...on MemberAdded{user{relationship}}}}`:              {"MemberAdded", "SessionStarted"},
		`{events{...@include(if:true){actor{relationship}}}}`:                                                 all,
		`{presenceChanged{presences{user{relationship}}}}`:                                                    {"PresenceChanged"},
	} {
		oc, err := operation(exec, "subscription"+q, nil)
		if err != nil {
			t.Fatal(q, err)
		}
		_, viewer, err := live.Key(es.Schema(), oc)
		if err != nil || !slices.Equal(slices.Sorted(maps.Keys(viewer)), want) {
			t.Errorf("%s: %v, want %v", q, viewer, want)
		}
	}
}
