// Package picture checks pictures that come from outside, and makes small ones of them.
//
// Clean reads the structure of a file, not its pixels: what it lets through is whole, has the size that it says, and holds
// nothing that a picture does not need. It uses a few kilobytes, whatever comes. Square decodes, of what Clean let through.
package picture

import (
	"bufio"
	"fmt"
	"io"

	"github.com/parley-chat/parley/internal/chat"
)

// The bounds of a picture. Those that take more than four bytes a pixel to decode (progressive JPEGs, 16 bits a channel,
// WebP that is lossless or has transparency) are bounded by MaxDeepPixels: decoding takes 200 MB at most.
const (
	MaxSide       = 8_000
	MaxPixels     = 40_000_000
	MaxDeepPixels = 12_000_000
)

// Info is what a picture says of itself.
type Info struct {
	Type          string // image/png, image/jpeg, image/gif or image/webp
	Width, Height int
	// Orientation is how a JPEG is to be turned to be looked at, 2 to 8 of Exif's numbers; 0: as it is.
	Orientation int
}

var (
	errUnknown = chat.BadInput("not a picture that can be read here; send a PNG, JPEG, GIF or WebP")
	errCutOff  = chat.BadInput("the picture is cut off; send all of it")
	errBroken  = chat.BadInput("the picture is broken; save it anew")
)

// Clean copies a picture without what it need not hold (metadata such as where it was taken, comments, whatever follows its
// end), and says what it is, going by its content alone. A JPEG keeps its orientation. Errors: BAD_USER_INPUT, and those of
// reading and writing; what was written until then is of no use.
func Clean(dst io.Writer, src io.Reader) (Info, error) {
	c := &cleaner{r: bufio.NewReader(src), w: dst}
	head, _ := c.r.Peek(12)
	var format func()
	switch {
	case len(head) >= 8 && string(head[:8]) == "\x89PNG\r\n\x1a\n":
		c.Type, format = "image/png", c.png
	case len(head) >= 3 && string(head[:3]) == "\xff\xd8\xff":
		c.Type, format = "image/jpeg", c.jpeg
	case len(head) >= 6 && (string(head[:6]) == "GIF87a" || string(head[:6]) == "GIF89a"):
		c.Type, format = "image/gif", c.gif
	case len(head) >= 12 && string(head[:4]) == "RIFF" && string(head[8:12]) == "WEBP":
		c.Type, format = "image/webp", c.webp
	default:
		if _, err := c.r.Peek(1); err != nil && err != io.EOF { //nolint:errorlint // as bufio returns it
			return Info{}, err
		}
		return Info{}, errUnknown
	}
	c.err = c.run(format)
	return c.Info, c.err
}

// cleaner is a walk through one file. What goes wrong ends it by a panic of stopped.
type cleaner struct {
	Info
	r   *bufio.Reader
	w   io.Writer
	err error
	buf [1 << 10]byte
}

type stopped struct{ error }

func (c *cleaner) run(format func()) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case stopped:
			err = p.error
		default:
			panic(p)
		}
	}()
	format()
	if c.Width == 0 {
		return errBroken
	}
	return nil
}

func (c *cleaner) stop(err error) {
	if err == io.EOF || err == io.ErrUnexpectedEOF { //nolint:errorlint // as bufio and io return it
		err = errCutOff
	}
	panic(stopped{err})
}

// read takes the next bytes, at most as many as buf has.
func (c *cleaner) read(n int) []byte {
	b := c.buf[:n]
	if _, err := io.ReadFull(c.r, b); err != nil {
		c.stop(err)
	}
	return b
}

func (c *cleaner) byte() byte {
	b, err := c.r.ReadByte()
	if err != nil {
		c.stop(err)
	}
	return b
}

func (c *cleaner) write(b ...byte) {
	if _, err := c.w.Write(b); err != nil {
		c.stop(err)
	}
}

func (c *cleaner) copy(n int64) {
	if _, err := io.CopyN(c.w, c.r, n); err != nil {
		c.stop(err)
	}
}

func (c *cleaner) skip(n int64) {
	if _, err := io.CopyN(io.Discard, c.r, n); err != nil {
		c.stop(err)
	}
}

// sized notes the size, once it is known and before anything of it is decoded.
func (c *cleaner) sized(width, height int, deep bool) {
	switch {
	case width < 1 || height < 1:
		c.stop(errBroken)
	case width > MaxSide || height > MaxSide || width*height > MaxPixels:
		c.stop(chat.BadInput(fmt.Sprintf("the picture has %d × %d pixels; at most %d on a side and 40 million can be read: make it smaller", width, height, MaxSide)))
	case deep && width*height > MaxDeepPixels:
		c.stop(chat.BadInput("of progressive JPEG, 16 bits a channel, and WebP that is lossless or has transparency, at most 12 million pixels can be read: make it smaller"))
	}
	c.Width, c.Height = width, height
}
