package bot_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/parley-chat/parley/internal/bot"
	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/store"
	"github.com/parley-chat/parley/internal/token"
)

// group is ann's, with her bot in it.
func (b *bundle) group(robot chat.ID) chat.ID {
	b.Helper()
	c, _, err := b.conversations.CreateGroup(b.Context(), b.ann, "Builds", []chat.ID{robot})
	b.must(err)
	return c.ID
}

func (b *bundle) hook(group, robot chat.ID) *bot.NewWebhook {
	b.Helper()
	w, err := b.CreateWebhook(b.Context(), b.ann, group, robot, "hook", nil)
	b.must(err)
	return w
}

// post is one to a key.
func (b *bundle) post(key, id, text string) (chat.Message, error) {
	h, err := b.Hook(b.Context(), key)
	if err != nil {
		return chat.Message{}, err
	}
	return b.Post(b.Context(), h, id, text)
}

func TestWebhooks(t *testing.T) {
	each(t, bot.Config{}, func(b *bundle) {
		robot := b.bot("robot")
		group := b.group(robot)
		w := b.hook(group, robot)
		if !regexp.MustCompile(`^prlh_[0-9a-z]{26}[0-9A-Za-z]{49}$`).MatchString(w.Key) {
			b.Error(w.Key)
		}
		m, err := b.post(w.Key, "1", "The build is broken.")
		b.must(err)
		if m.Sender != robot || m.Conversation != group || m.Seq != 1 || m.Body != "The build is broken." {
			b.Error(m)
		}
		again, err := b.post(w.Key, "1", "The build is broken.")
		b.must(err)
		if again != m {
			b.Error("said twice:", again)
		}
		_, err = b.post(w.Key, "1", "The build works.")
		b.code(chat.CodeConflict, err)
		for _, id := range []string{"2", "", ""} {
			if again, err = b.post(w.Key, id, "The build is broken."); err != nil || again.ID == m.ID {
				b.Error("not said:", again, err)
			}
		}
		// Another webhook of the same bot numbers what it says by itself.
		other, err := b.post(b.hook(group, robot).Key, "1", "The build is broken.")
		if err != nil || other.ID == m.ID {
			b.Error(other, err)
		}
		_, err = b.post(w.Key, "3", " ")
		b.code(chat.CodeBadInput, err)

		next, err := b.RotateWebhook(b.Context(), b.ann, w.Webhook.ID)
		b.must(err)
		_, err = b.post(w.Key, "4", "x")
		b.code(chat.CodeNotFound, err)
		_, err = b.post(next.Key, "4", "x")
		b.must(err)
	})
}

// Whatever is no key of a webhook that works is the same NOT_FOUND.
func TestWebhooksThatAreOver(t *testing.T) {
	each(t, bot.Config{WrongPerAddr: -1}, func(b *bundle) {
		ctx := b.Context()
		robot, other := b.bot("robot"), b.bot("other")
		room := b.group(robot)
		ending := map[string]func(group chat.ID, w *bot.NewWebhook) error{
			"deleted": func(_ chat.ID, w *bot.NewWebhook) error {
				_, _, err := b.DeleteWebhook(ctx, b.ann, w.Webhook.ID)
				return err
			},
			"bot removed": func(g chat.ID, _ *bot.NewWebhook) error {
				_, _, err := b.conversations.RemoveMember(ctx, b.ann, g, robot)
				return err
			},
			"bot removed and back": func(g chat.ID, _ *bot.NewWebhook) error {
				if _, _, err := b.conversations.RemoveMember(ctx, b.ann, g, robot); err != nil {
					return err
				}
				_, _, err := b.conversations.AddMembers(ctx, b.ann, g, []chat.ID{robot})
				return err
			},
			"bot gone": func(g chat.ID, _ *bot.NewWebhook) error {
				_, err := b.conversations.LeaveGroup(ctx, robot, g)
				return err
			},
			"group deleted": func(g chat.ID, _ *bot.NewWebhook) error {
				_, err := b.conversations.DeleteGroup(ctx, b.ann, g)
				return err
			},
			"owner suspended": func(chat.ID, *bot.NewWebhook) error {
				_, err := b.store.Write(ctx, chat.ID{}, func(tx *store.Tx) error { return tx.Suspend(b.ann) })
				return err
			},
		}
		for name, end := range ending {
			group := b.group(robot)
			w := b.hook(group, robot)
			if _, err := b.post(w.Key, "", "x"); err != nil {
				b.Fatal(name, err)
			}
			b.must(end(group, w))
			if _, err := b.post(w.Key, "", "y"); err != chat.ErrNotFound { //nolint:errorlint // the very same
				b.Errorf("%s: %v", name, err)
			}
			_, err := b.store.Write(ctx, chat.ID{}, func(tx *store.Tx) error { return tx.Restore(b.ann) })
			b.must(err)
		}
		gone := b.hook(room, robot)
		_, err := b.Delete(ctx, b.ann, robot)
		b.must(err)
		unknown, _ := token.NewKey(token.HookKey, chat.NewID(chat.KindIncomingWebhook))
		guessed, _ := token.NewKey(token.HookKey, gone.Webhook.ID)
		key := b.key(other, chat.ScopeManage)
		for _, bad := range []string{gone.Key, unknown, guessed, "", "x", gone.Key[:30], key.Text} {
			if _, err := b.post(bad, "", "y"); err != chat.ErrNotFound { //nolint:errorlint // the very same
				b.Errorf("%q: %v", bad, err)
			}
		}
	})
}

func TestWhoHasWebhooks(t *testing.T) {
	each(t, bot.Config{MaxWebhooks: 2}, func(b *bundle) {
		ctx := b.Context()
		robot := b.bot("robot")
		group := b.group(robot)
		create := func(by, where, as chat.ID) error {
			_, err := b.CreateWebhook(ctx, by, where, as, "hook", nil)
			return err
		}
		b.code(chat.CodeNotFound, create(b.bob, group, robot))
		b.code(chat.CodeNotFound, create(b.ann, chat.NewID(chat.KindConversation), robot))
		b.code(chat.CodeNotFound, create(b.ann, group, b.bob))
		b.code(chat.CodeNotFound, create(b.ann, robot, group))
		b.code(chat.CodeConflict, create(b.ann, group, b.bot("outside")))
		// In the direct conversation, its owner decides, and nobody else.
		f, err := b.store.Friendship(ctx, b.ann, robot)
		b.must(err)
		b.must(create(b.ann, f.Conversation, robot))
		b.code(chat.CodeNotFound, create(b.bob, f.Conversation, robot))
		w := b.hook(group, robot)
		b.hook(group, robot)
		b.code(chat.CodeConflict, create(b.ann, group, robot))
		for _, id := range []chat.ID{w.Webhook.ID, chat.NewID(chat.KindIncomingWebhook), robot} {
			_, err = b.RotateWebhook(ctx, b.bob, id)
			b.code(chat.CodeNotFound, err)
			_, _, err = b.DeleteWebhook(ctx, b.bob, id)
			b.code(chat.CodeNotFound, err)
		}
		l, err := b.Webhooks(ctx, []chat.ID{group, f.Conversation})
		if err != nil || len(l[group]) != 2 || len(l[f.Conversation]) != 1 || l[group][0] != w.Webhook {
			b.Error(l, err)
		}
	})
}

// The secret that a sender signs with is kept sealed, and for this webhook alone.
func TestSigningSecrets(t *testing.T) {
	each(t, bot.Config{}, func(b *bundle) {
		const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
		robot := b.bot("robot")
		group := b.group(robot)
		text := secret
		w, err := b.CreateWebhook(b.Context(), b.ann, group, robot, "signed", &text)
		b.must(err)
		h, err := b.Hook(b.Context(), w.Key)
		if err != nil || len(h.Secrets) != 1 || h.Secrets[0].Text() != secret || !h.Signed {
			b.Error(h, err)
		}
		kept, err := b.store.HookSecrets(b.Context(), w.Webhook.ID)
		b.must(err)
		if strings.Contains(string(kept.Signing), secret) || strings.Contains(string(kept.Signing), secret[6:]) {
			b.Error("the secret is readable")
		}
		other := b.hook(group, robot)
		_, err = b.store.Write(b.Context(), chat.ID{}, func(tx *store.Tx) error {
			x := other.Webhook
			x.ID = chat.NewID(chat.KindIncomingWebhook)
			var hash [32]byte
			other.Key, hash = token.NewKey(token.HookKey, x.ID)
			return tx.InsertIncomingWebhook(x, hash, kept.Signing)
		})
		b.must(err)
		if _, err = b.Hook(b.Context(), other.Key); chat.CodeOf(err) != chat.CodeInternal {
			b.Error("a secret opens for another webhook:", err)
		}
	})
}
