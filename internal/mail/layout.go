package mail

import (
	"embed"
	"errors"
	"html/template"
	"io/fs"
	"path"
	"regexp"
	"strings"
	texttemplate "text/template"
	"unicode"

	"github.com/parley-chat/parley/internal/chat"
)

//go:embed templates
var files embed.FS

// A kind is told by templates/<kind>.txt, which defines subject, words, action (what the link is for) and perhaps note.
// Its HTML has the same words, unless templates/<kind>.html says them better.
type kind struct {
	text *texttemplate.Template
	html *template.Template
}

var kinds = parse()

func parse() map[string]kind {
	functions := texttemplate.FuncMap{"plural": plural}
	layout := template.Must(template.New("layout.html").Funcs(functions).ParseFS(files, "templates/layout.html"))
	text := texttemplate.Must(texttemplate.New("layout.txt").Funcs(functions).ParseFS(files, "templates/layout.txt"))

	all := map[string]kind{}
	names, err := fs.Glob(files, "templates/*.txt")
	if err != nil {
		panic(err)
	}
	for _, name := range names {
		k := kind{texttemplate.Must(texttemplate.Must(text.Clone()).ParseFS(files, name)), template.Must(layout.Clone())}
		better := strings.TrimSuffix(name, "txt") + "html"
		if _, err := fs.Stat(files, better); err == nil {
			template.Must(k.html.ParseFS(files, better))
		}
		all[strings.TrimSuffix(path.Base(name), ".txt")] = k
	}
	return all
}

// page is what the templates see, and what they made of it.
type page struct {
	Site, Home        string
	Name, Username    string // of the receiver
	Link, Unsubscribe string
	View              any // of the content
	Subject, Action   string
	Note              string
	Paragraphs        [][]string // the words, by line
	kind, text, html  string
}

func (m *Mailer) layOut(msg Message) (*page, error) {
	p := &page{Site: m.site, Home: m.publicURL, Name: nameOf(msg.User), Username: clean(msg.User.Username, maxName), kind: msg.Content.Kind()}
	var err error
	if p.Link, p.View, err = msg.Content.lead(m); err != nil {
		return nil, err
	}
	if msg.Unsubscribe != "" {
		p.Unsubscribe = m.link(pathUnsubscribe, msg.Unsubscribe)
	} else if p.kind == "digest" {
		return nil, errors.New("a digest that cannot be turned off")
	}

	k := kinds[p.kind]
	fill := func(name string) string {
		var b strings.Builder
		if e := k.text.ExecuteTemplate(&b, name, p); e != nil {
			err = errors.Join(err, e)
		}
		return strings.TrimSpace(b.String())
	}
	p.Subject, p.Action, p.Note = fill("subject"), fill("action"), fill("note")
	for paragraph := range strings.SplitSeq(fill("words"), "\n\n") {
		p.Paragraphs = append(p.Paragraphs, strings.Split(paragraph, "\n"))
	}
	p.text = fill("layout.txt") + "\n"
	var html strings.Builder
	if e := k.html.Execute(&html, p); e != nil {
		err = errors.Join(err, e)
	}
	p.html = html.String()
	return p, err
}

// looksLikeLink finds what mail programs make a link of. A stranger chooses their own name, and the address that a welcome
// goes to: nobody shall have us carry "visit evil.example" to whom they like.
var looksLikeLink = regexp.MustCompile(`(?i)://|www\.|[\pL\pN][.。．｡]\pL{2}|@`)

// nameOf is how a mail calls a user: by the name they chose, unless that would be read as a link.
func nameOf(u chat.User) string {
	name := clean(u.DisplayName, maxName)
	if name == "" || looksLikeLink.MatchString(name) {
		return clean(u.Username, maxName)
	}
	return name
}

// clean is a text of a user on one line, of at most so many characters. It keeps no control characters (they could begin
// a new header or a paragraph that seems to be ours), none that reverse the reading order, and nothing that a header would
// be decoded from.
func clean(s string, most int) string {
	const joiner, nonJoiner = '\u200d', '\u200c' // of emoji, and of scripts that need them
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r):
			return ' '
		case r == unicode.ReplacementChar, unicode.Is(unicode.C, r) && r != joiner && r != nonJoiner:
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	s = strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "=?", "= ?")
	if r := []rune(s); len(r) > most {
		return strings.TrimSpace(string(r[:most-1])) + "…"
	}
	return s
}
