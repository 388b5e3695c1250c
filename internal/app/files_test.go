package app_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"io"
	"mime/multipart"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/parley-chat/parley/internal/client"
	"github.com/parley-chat/parley/internal/testkit"
)

// send makes a request and reads its answer.
func sendFile(tb testing.TB, method, url string, body []byte, headers ...string) (*http.Response, string) {
	tb.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, url, bytes.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	resp, err := mustHTTP(tb).Do(r)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return resp, string(all)
}

// Who may upload, and what.
func TestUploads(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		a := testkit.MustRunApp(t, url, "--max-upload", "64KiB", "--origins", "https://app.example.org")
		ann := testkit.MustSignUp(t, a.URL(), "Ann")
		token, cookie := "Authorization: Bearer "+ann.Token, "Cookie: parley_access="+ann.Token
		good := testkit.Picture(20, 10, color.Black)
		form := func(files ...[]byte) (string, []byte) {
			var b bytes.Buffer
			w := multipart.NewWriter(&b)
			for i, f := range files {
				p, err := w.CreateFormFile("file", fmt.Sprintf("%d.txt", i))
				if err == nil {
					_, err = p.Write(f)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			return "Content-Type: " + w.FormDataContentType(), b.Bytes()
		}
		one, oneForm := form(good)
		two, twoForm := form(good, good)
		none, noneForm := form()
		for _, c := range []struct {
			name    string
			status  int
			body    []byte
			headers []string
		}{
			{"a token", 201, good, []string{token}},
			{"a token and a form", 201, oneForm, []string{token, one}},
			{"a wrong name and type", 201, good, []string{token, "Content-Type: text/plain"}},
			{"a cookie from our own page", 201, good, []string{cookie, "Origin: https://app.example.org", "Content-Type: image/png"}},
			{"a cookie and a form from our own page", 201, oneForm, []string{cookie, one, "Origin: https://app.example.org"}},
			{"nobody", 401, good, []string{"Content-Type: image/png"}},
			{"a token that is none", 401, good, []string{"Authorization: Bearer x"}},
			{"a cookie and a form from anywhere", 403, oneForm, []string{cookie, one}},
			{"a cookie and a form from a foreign page", 403, oneForm, []string{cookie, one, "Origin: https://evil.example.net"}},
			{"a cookie from a foreign page", 401, good, []string{cookie, "Origin: https://evil.example.net", "Content-Type: image/png"}},
			{"two files", 400, twoForm, []string{token, two}},
			{"a form without a file", 400, noneForm, []string{token, none}},
			{"nothing", 400, nil, []string{token}},
			{"a text called a PNG", 400, []byte("hello"), []string{token, "Content-Type: image/png"}},
			{"SVG", 400, []byte("<svg xmlns='http://www.w3.org/2000/svg'/>"), []string{token, "Content-Type: image/svg+xml"}},
			{"half a picture", 400, good[:len(good)/2], []string{token}},
			{"too much", 413, append(bytes.Clone(good[:33]), bytes.Repeat([]byte{0, 0, 0, 0, 't', 'E', 'X', 't', 0, 0, 0, 0}, 100000)...), []string{token}},
		} {
			resp, body := sendFile(t, "POST", a.URL()+"/files", c.body, c.headers...)
			var answer struct {
				ID     string
				Errors []struct{ Message string }
			}
			if err := json.Unmarshal([]byte(body), &answer); resp.StatusCode != c.status || err != nil || (c.status == 201) != strings.HasPrefix(answer.ID, "fil_") || (c.status == 201) == (len(answer.Errors) == 1) {
				t.Errorf("%s: %d, want %d: %s", c.name, resp.StatusCode, c.status, body)
			}
		}
		if resp, _ := sendFile(t, "GET", a.URL()+"/files", nil, token); resp.StatusCode != 405 {
			t.Error(resp.Status)
		}
	})
}

// A picture is for whoever has its link, for as long as it is used; small ones take its place once they are made.
func TestAvatars(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		a := testkit.MustRunApp(t, url)
		ann, bob := testkit.MustSignUp(t, a.URL(), "Ann"), testkit.MustSignUp(t, a.URL(), "Bob")
		group := mustCreateGroup(t, ann)
		file := testkit.MustUpload(t, ann.Client, testkit.Picture(300, 500, color.RGBA{200, 10, 10, 255}))
		gone, notThere := sendFile(t, "GET", a.URL()+"/files/fil_01h455vb4pex5vsknk084sn02q", nil)
		unused, body := sendFile(t, "GET", a.URL()+"/files/"+file, nil, "Authorization: Bearer "+ann.Token)
		if gone.StatusCode != 404 || unused.StatusCode != 404 || body != notThere {
			t.Error("what nothing uses is shown:", unused.Status, body)
		}
		var me struct {
			Me, User struct{ Small, Medium, Original *string }
		}
		testkit.MustDo(t, ann.Client, `mutation($f: ID!) { setAvatar(input: {fileId: $f}) { cursor } }`, client.Vars{"f": file}, nil)
		links := func() {
			testkit.MustDo(t, bob.Client, `query($u: ID!) { user(id: $u) { small: avatarUrl(size: SMALL) medium: avatarUrl original: avatarUrl(size: ORIGINAL) } }`, client.Vars{"u": ann.ID}, &me)
		}
		links()
		for link, size := range map[string]image.Point{*me.User.Small: image.Pt(64, 64), *me.User.Medium: image.Pt(256, 256), *me.User.Original: image.Pt(300, 500)} {
			var resp *http.Response
			eventually(t, func() error {
				resp, body = sendFile(t, "GET", a.URL()+link, nil)
				if resp.StatusCode != 200 || resp.Header.Get("Cache-Control") == "no-cache" {
					return fmt.Errorf("%s: %s", link, resp.Status)
				}
				return nil
			})
			m, _, err := image.Decode(strings.NewReader(body))
			if err != nil || m.Bounds().Size() != size {
				t.Errorf("%s: %v, %v", link, m.Bounds(), err)
			}
			for name, want := range map[string]string{"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff",
				"Content-Security-Policy": "default-src 'none'; sandbox", "Content-Length": fmt.Sprint(len(body))} {
				if got := resp.Header.Get(name); got != want {
					t.Errorf("%s: %s is %q", link, name, got)
				}
			}
			if again, _ := sendFile(t, "GET", a.URL()+link, nil, "If-None-Match: "+resp.Header.Get("Etag")); again.StatusCode != 304 {
				t.Errorf("%s: %s", link, again.Status)
			}
			if head, body := sendFile(t, "HEAD", a.URL()+link, nil); head.StatusCode != 200 || body != "" || head.ContentLength != resp.ContentLength {
				t.Errorf("%s: %s", link, head.Status)
			}
		}
		// A picture that is replaced, taken away or whose group is deleted is gone.
		old := *me.User.Medium
		second := testkit.MustUpload(t, ann.Client, testkit.Picture(10, 10, color.White))
		testkit.MustDo(t, ann.Client, `mutation($f: ID!) { setAvatar(input: {fileId: $f}) { cursor } }`, client.Vars{"f": second}, nil)
		links()
		third := testkit.MustUpload(t, ann.Client, testkit.Picture(10, 10, color.White))
		var set struct {
			SetGroupAvatar struct{ Conversation struct{ AvatarURL string } }
		}
		testkit.MustDo(t, ann.Client, `mutation($g: ID!, $f: ID!) { setGroupAvatar(input: {conversationId: $g, fileId: $f}) { conversation { avatarUrl } } }`,
			client.Vars{"g": group, "f": third}, &set)
		ofGroup := set.SetGroupAvatar.Conversation.AvatarURL
		for _, link := range []string{*me.User.Medium, ofGroup} {
			if resp, _ := sendFile(t, "GET", a.URL()+link, nil); resp.StatusCode != 200 {
				t.Error(link, resp.Status)
			}
		}
		testkit.MustDo(t, ann.Client, `mutation { setAvatar(input: {}) { cursor } }`, nil, nil)
		testkit.MustDo(t, ann.Client, `mutation($g: ID!) { deleteGroup(input: {conversationId: $g}) { cursor } }`, client.Vars{"g": group}, nil)
		for _, link := range []string{old, *me.User.Medium, ofGroup} {
			if resp, body := sendFile(t, "GET", a.URL()+link, nil); resp.StatusCode != 404 || body != notThere {
				t.Error(link, resp.Status)
			}
		}
	})
}

// An export holds what its owner can see, and is for nobody else.
func TestExports(t *testing.T) {
	t.Parallel()
	testkit.URLs(t, func(t *testing.T, url string) {
		a := testkit.MustRunApp(t, url)
		people := mustMeet(t, a.URL(), 3)
		ann, bob, cat := people[0], people[1], people[2]
		stays, left := mustCreateGroup(t, ann, bob), mustCreateGroup(t, ann)
		for i := range 3 {
			mustSend(t, ann.Client, stays, fmt.Sprint("here ", i))
			mustSend(t, ann.Client, left, fmt.Sprint("before ", i))
		}
		in := func(p *client.Account) {
			testkit.MustDo(t, ann.Client, `mutation($c: ID!, $u: [ID!]!) { addMembers(input: {conversationId: $c, userIds: $u}) { cursor } }`, client.Vars{"c": left, "u": []string{p.ID}}, nil)
		}
		out := func(p *client.Account) {
			testkit.MustDo(t, ann.Client, `mutation($c: ID!, $u: ID!) { removeMember(input: {conversationId: $c, userId: $u}) { cursor } }`, client.Vars{"c": left, "u": p.ID}, nil)
		}
		var there []string
		for span := range 2 {
			in(bob)
			for i := range 2 {
				there = append(there, mustSend(t, ann.Client, left, fmt.Sprint("there ", span, i)).SendMessage.Message.ID)
			}
			out(bob)
			mustSend(t, ann.Client, left, fmt.Sprint("after ", span))
		}
		content, link := mustExport(t, a.URL(), bob)
		ids, _ := mustHistory(t, bob.Client, stays)
		var direct struct {
			Friends struct {
				Nodes []struct{ Conversation struct{ ID string } }
			}
			Me struct{ ID, Username, DisplayName, Bio string }
		}
		testkit.MustDo(t, bob.Client, `{ friends { nodes { conversation { id } } } me { id username displayName bio } }`, nil, &direct)
		want := map[string]bool{}
		for _, id := range append(ids, there...) {
			want[id] = true
		}
		got := map[string]bool{}
		for _, m := range content["messages.jsonl"] {
			got[m["id"].(string)] = true
		}
		if !reflect.DeepEqual(got, want) || len(content["messages.jsonl"]) != len(want) {
			t.Errorf("%v, want %v", got, want)
		}
		if p := content["profile.jsonl"]; len(p) != 1 || p[0]["id"] != direct.Me.ID || p[0]["username"] != direct.Me.Username {
			t.Error(p)
		}
		if f := content["friends.jsonl"]; len(f) != 1 || f[0]["conversationId"] != direct.Friends.Nodes[0].Conversation.ID {
			t.Error(f)
		}
		if len(content["sessions.jsonl"]) != 1 || len(content["friend-requests.jsonl"]) != 1 || len(content["blocked-users.jsonl"]) != 0 {
			t.Error(content)
		}
		var listed struct {
			Notifications struct{ Nodes []struct{ ID string } }
		}
		testkit.MustDo(t, bob.Client, `{ notifications(first: 100) { nodes { id } } }`, nil, &listed)
		if n := content["notifications.jsonl"]; len(n) != len(listed.Notifications.Nodes) {
			t.Errorf("%v, want %v", n, listed)
		}
		for _, c := range content["conversations.jsonl"] {
			if c["id"] == left && (c["member"] != false || c["title"] != nil) || c["id"] == stays && (c["member"] != true || c["title"] != "A group") {
				t.Error(c)
			}
		}
		if len(content["conversations.jsonl"]) != 3 {
			t.Error(content["conversations.jsonl"])
		}

		// The link alone opens it; without, with somebody else's or with another time it is as if it were not there.
		_, notThere := sendFile(t, "GET", a.URL()+"/files/fil_01h455vb4pex5vsknk084sn02q", nil)
		path, query, _ := strings.Cut(link, "?")
		_, theirs := mustExport(t, a.URL(), cat)
		_, stolen, _ := strings.Cut(theirs, "?")
		for _, l := range []string{path, path + "?size=64", path + "?" + stolen, link[:len(link)-1], strings.Replace(link, "until=1", "until=2", 1), path + "?key=x&until=9999999999", theirs[:strings.Index(theirs, "?")] + "?" + query} {
			for _, who := range []*client.Account{bob, cat} {
				if resp, body := sendFile(t, "GET", a.URL()+l, nil, "Authorization: Bearer "+who.Token); resp.StatusCode != 404 || body != notThere {
					t.Errorf("%s: %s %s", l, resp.Status, body)
				}
			}
		}
		if code := client.Code(bob.Do(t.Context(), `mutation { requestExport { cursor } }`, nil, nil)); code != "RATE_LIMITED" {
			t.Error("a second export on the same day:", code)
		}
	})
}

// mustExport asks for an export, waits for the event that tells of it, and reads it: the lines of each of its files.
func mustExport(t *testing.T, url string, who *client.Account) (content map[string][]map[string]any, link string) {
	t.Helper()
	socket, err := who.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	var asked struct {
		RequestExport struct {
			Cursor string
			Export struct{ Status string }
		}
	}
	testkit.MustDo(t, who.Client, `mutation { requestExport { cursor export { status url } } }`, nil, &asked)
	if asked.RequestExport.Export.Status != "PENDING" {
		t.Fatal(asked)
	}
	s, err := socket.Subscribe(`subscription($after: Cursor) { events(after: $after, types: [EXPORT_UPDATED]) { ... on ExportUpdated { export { status url } } } }`,
		client.Vars{"after": asked.RequestExport.Cursor}, 100)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for link == "" {
		var e struct {
			Events struct {
				Export *struct {
					Status string
					URL    *string
				}
			}
		}
		if err := s.Next(ctx, &e); err != nil {
			t.Fatal(err)
		}
		if x := e.Events.Export; x != nil && x.Status == "READY" {
			link = *x.URL
		}
	}
	resp, body := sendFile(t, "GET", url+link, nil)
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/zip" || !strings.HasPrefix(resp.Header.Get("Content-Disposition"), "attachment") ||
		resp.Header.Get("Cache-Control") != "private, no-store" {
		t.Fatal(resp.Status, resp.Header)
	}
	z, err := zip.NewReader(strings.NewReader(body), int64(len(body)))
	if err != nil {
		t.Fatal(err)
	}
	content = map[string][]map[string]any{}
	for _, f := range z.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		for d := json.NewDecoder(r); d.More(); {
			var line map[string]any
			if err := d.Decode(&line); err != nil {
				t.Fatal(err)
			}
			content[f.Name] = append(content[f.Name], line)
		}
	}
	return content, link
}
