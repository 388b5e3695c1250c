package graph

import (
	"github.com/parley-chat/parley/graph/model"
	"github.com/parley-chat/parley/internal/chat"
)

// squares are the sizes in pixels; that of the whole picture is 0.
var squares = map[model.AvatarSize]int{model.AvatarSizeSmall: 64, model.AvatarSizeMedium: 256}

// avatarURL is null where there is no picture.
func (r *Resolver) avatarURL(file chat.ID, size model.AvatarSize) *string {
	if file.IsZero() {
		return nil
	}
	link := r.Files.URL(file, squares[size])
	return &link
}

// optionalID is the zero ID for null.
func optionalID(id *chat.ID) chat.ID {
	if id == nil {
		return chat.ID{}
	}
	return *id
}
