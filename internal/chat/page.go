package chat

// Page is what a connection's arguments ask for: Limit items from the start after After, or, Backward, from the end
// before Before. Exactly one direction; both bounds may be given in either.
type Page struct {
	Limit    int
	Backward bool
	After    string // a place that PageOf checked is well-formed only when it is used; empty: none
	Before   string
}

// The bounds of a page.
const (
	DefaultPage = 50
	MaxPage     = 100
)

// PageOf checks a connection's arguments. Errors: BAD_USER_INPUT with the argument's path.
func PageOf(first *int, after *string, last *int, before *string) (Page, error) {
	p := Page{Limit: DefaultPage}
	switch {
	case first != nil && last != nil:
		return p, BadInput("give first or last, not both", "last")
	case first != nil:
		p.Limit = *first
	case last != nil:
		p.Limit, p.Backward = *last, true
	}
	if p.Limit < 1 || p.Limit > MaxPage {
		arg := "first"
		if p.Backward {
			arg = "last"
		}
		return p, BadInput("from 1 to 100", arg)
	}
	if after != nil {
		p.After = *after
	}
	if before != nil {
		p.Before = *before
	}
	return p, nil
}

// PageInfo says where a page stands within its list.
type PageInfo struct {
	HasNextPage, HasPreviousPage bool
	StartCursor, EndCursor       *string
}

// List is one page of a connection. Cursors[i] is the place of Nodes[i].
type List[T any] struct {
	Nodes   []T
	Cursors []string
	Info    PageInfo
}

// NewList makes a page of rows that were read in the page's own direction, with one more than Limit if there are more;
// place gives a row's place. The nodes come out in list order.
func NewList[T any](p Page, rows []T, place func(T) string) List[T] {
	more := len(rows) > p.Limit
	if more {
		rows = rows[:p.Limit]
	}
	l := List[T]{Nodes: make([]T, len(rows)), Cursors: make([]string, len(rows))}
	for i, r := range rows {
		at := i
		if p.Backward {
			at = len(rows) - 1 - i
		}
		l.Nodes[at], l.Cursors[at] = r, place(r)
	}
	if p.Backward {
		l.Info.HasPreviousPage, l.Info.HasNextPage = more, p.Before != ""
	} else {
		l.Info.HasNextPage, l.Info.HasPreviousPage = more, p.After != ""
	}
	if n := len(l.Cursors); n > 0 {
		l.Info.StartCursor, l.Info.EndCursor = &l.Cursors[0], &l.Cursors[n-1]
	}
	return l
}
