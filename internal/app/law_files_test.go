package app_test

import (
	"image/color"

	"github.com/parley-chat/parley/internal/client"
	"github.com/parley-chat/parley/internal/testkit"
)

func fileLaws() map[string][]law {
	upload := func(p *person) string { return testkit.MustUpload(p.w, p.Client, testkit.Picture(8, 8, color.White)) }
	wearing := func(p *person) string {
		f := upload(p)
		p.do("setAvatar", "SetAvatarInput", "cursor", vars{"fileId": f}, nil)
		return f
	}
	avatar := func(by func(w *world) *person, file func(w *world) any) func(w *world) mutation {
		return func(w *world) mutation { return mutation{by(w).Client, vars{"fileId": file(w)}} }
	}
	picture := func(by func(w *world) *person) func(*world, string) vars {
		return func(w *world, _ string) vars { return vars{"fileId": upload(by(w))} }
	}
	return map[string][]law{
		"setAvatar": {
			changing("a picture", avatar(ann, func(w *world) any { return upload(w.ann) })),
			changing("another", avatar(ann, func(w *world) any { wearing(w.ann); return upload(w.ann) })),
			changing("none any more", avatar(ann, func(w *world) any { wearing(w.ann); return nil })),
			idle("the same", avatar(bob, func(w *world) any { return wearing(w.bob) })),
			idle("none, still", avatar(dan, func(*world) any { return nil })),
			refused("NOT_FOUND", "somebody else's upload", avatar(bob, func(w *world) any { return upload(w.ann) })),
			refused("NOT_FOUND", "somebody else's picture", avatar(bob, func(w *world) any { return wearing(w.ann) })),
			refused("NOT_FOUND", "the one before", avatar(ann, func(w *world) any { f := wearing(w.ann); wearing(w.ann); return f })),
			refused("NOT_FOUND", "a thing of another kind", avatar(ann, func(w *world) any { return w.ann.ID })),
		},
		"setGroupAvatar": {
			changing("by the owner", inGroup(ann, picture(ann))),
			changing("by an admin", inGroup(bob, func(w *world, g string) vars { w.ann.setRole(g, w.bob, "ADMIN"); return picture(bob)(w, g) })),
			changing("none any more", inGroup(ann, func(w *world, g string) vars {
				w.ann.do("setGroupAvatar", "SetGroupAvatarInput", "cursor", vars{"conversationId": g, "fileId": upload(w.ann)}, nil)
				return nil
			})),
			idle("none, still", inGroup(ann, nil)),
			refused("NOT_FOUND", "somebody else's upload", inGroup(ann, picture(bob))),
			refused("FORBIDDEN", "by a member", inGroup(bob, picture(bob))),
			refused("NOT_FOUND", "by one who left", inGroup(fay, picture(fay))),
			refused("FORBIDDEN", "a direct conversation", func(w *world) mutation {
				return mutation{w.ann.Client, vars{"conversationId": w.direct(w.ann, w.bob), "fileId": upload(w.ann)}}
			}),
		},
		// It is not made while the laws are looked at: see newWorld.
		"requestExport": {
			changing("for the first time", func(w *world) mutation { return mutation{by: w.ann.Client} }),
			refused("CONFLICT", "again", func(w *world) mutation { return mutation{by: w.ann.Client} }),
			refused("UNAUTHENTICATED", "of nobody", func(w *world) mutation { return mutation{by: &client.Client{URL: w.url}} }),
		},
	}
}
