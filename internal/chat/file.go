package chat

import "time"

// FilePurpose says what a file is for, and with it who may read it.
type FilePurpose string

// The purposes of files.
const (
	FileAvatar    FilePurpose = "AVATAR"    // a picture somebody has uploaded; for whoever has its link, once it is used
	FileThumbnail FilePurpose = "THUMBNAIL" // made of one
	FileExport    FilePurpose = "EXPORT"    // of its owner's data; for its owner
)

// File is what is known of a file besides its content.
type File struct {
	ID          ID
	Owner       ID
	Purpose     FilePurpose
	Parent      ID // of a thumbnail: the picture
	ContentType string
	Size        int64
	Width       int // of a picture, as it is stored
	Height      int
	Orientation int // how it is to be turned: Exif's numbers; 0: not at all
	SHA256      []byte
	CreatedAt   time.Time
	ExpiresAt   time.Time // zero: when what uses it lets go of it
}

// Export is a copy of somebody's data that they have asked for.
type Export struct {
	User        ID
	RequestedAt time.Time
	ExpiresAt   time.Time
	File        ID // zero: it is being made
}
