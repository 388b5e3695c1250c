package picture

import (
	"bytes"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/draw"
	"golang.org/x/image/webp"
)

// Square is a small picture, encoded.
type Square struct {
	Type string
	Size int // pixels on a side
	Data []byte
}

// Squares makes small ones of what Clean let through: the middle of the picture, upright, without metadata. The sizes
// descend. Of what moves it is the first picture. Errors: BAD_USER_INPUT when it cannot be decoded, and those of reading.
func Squares(src io.Reader, of Info, sizes ...int) ([]Square, error) {
	decode := map[string]func(io.Reader) (image.Image, error){
		"image/png": png.Decode, "image/jpeg": jpeg.Decode, "image/gif": gif.Decode, "image/webp": webp.Decode,
	}[of.Type]
	if decode == nil {
		return nil, errUnknown
	}
	reads := &failing{r: src}
	from, err := decode(reads)
	if reads.err != nil {
		return nil, reads.err
	}
	if err != nil || from.Bounds().Empty() {
		return nil, errBroken
	}
	b := from.Bounds()
	side := min(b.Dx(), b.Dy())
	crop := image.Rect(0, 0, side, side).Add(b.Min).Add(image.Pt((b.Dx()-side)/2, (b.Dy()-side)/2))
	out := make([]Square, len(sizes))
	for i, size := range sizes {
		small := image.NewRGBA(image.Rect(0, 0, size, size))
		draw.CatmullRom.Scale(small, small.Bounds(), from, crop, draw.Src, nil)
		from, crop = small, small.Bounds() // the next is made of this one
		if out[i], err = encode(upright(small, of.Orientation)); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// failing tells errors of reading from those of what is read.
type failing struct {
	r   io.Reader
	err error
}

func (f *failing) Read(b []byte) (int, error) {
	n, err := f.r.Read(b)
	if err != nil && err != io.EOF { //nolint:errorlint // as readers return it
		f.err = err
	}
	return n, err
}

func encode(m *image.RGBA) (Square, error) {
	s := Square{Type: "image/jpeg", Size: m.Bounds().Dx()}
	var b bytes.Buffer
	var err error
	if m.Opaque() {
		err = jpeg.Encode(&b, m, &jpeg.Options{Quality: 85})
	} else {
		s.Type, err = "image/png", png.Encode(&b, m)
	}
	s.Data = b.Bytes()
	return s, err
}

// upright turns a square as an orientation of Exif's asks.
func upright(m *image.RGBA, orientation int) *image.RGBA {
	if orientation < 2 || orientation > 8 {
		return m
	}
	last := m.Bounds().Dx() - 1
	out := image.NewRGBA(m.Bounds())
	for y := range last + 1 {
		for x := range last + 1 {
			fromX, fromY := x, y
			switch orientation {
			case 2:
				fromX = last - x
			case 3:
				fromX, fromY = last-x, last-y
			case 4:
				fromY = last - y
			case 5:
				fromX, fromY = y, x
			case 6:
				fromX, fromY = y, last-x
			case 7:
				fromX, fromY = last-y, last-x
			case 8:
				fromX, fromY = last-y, x
			}
			out.SetRGBA(x, y, m.RGBAAt(fromX, fromY))
		}
	}
	return out
}
