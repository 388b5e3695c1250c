package picture_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"strings"
	"testing"

	"golang.org/x/image/webp"

	"github.com/parley-chat/parley/internal/chat"
	"github.com/parley-chat/parley/internal/picture"
)

// quarters is red, green, blue and white, from the upper left row by row.
func quarters(w, h int) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.Set(x, y, []color.Color{color.RGBA{255, 0, 0, 255}, color.RGBA{0, 255, 0, 255}, color.RGBA{0, 0, 255, 255}, color.White}[x*2/w+y*2/h*2])
		}
	}
	return m
}

func encoded(tb testing.TB, format string, m image.Image) []byte {
	tb.Helper()
	var b bytes.Buffer
	var err error
	switch format {
	case "png":
		err = png.Encode(&b, m)
	case "jpeg":
		err = jpeg.Encode(&b, m, &jpeg.Options{Quality: 95})
	case "gif":
		err = gif.Encode(&b, m, nil)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// A chunk of a PNG.
func pngChunk(kind, content string) string {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(content)))
	b = append(b, kind+content...)
	return string(binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:])))
}

func pngHead(w, h uint32, depth byte) string {
	b := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, w), h)
	return "\x89PNG\r\n\x1a\n" + pngChunk("IHDR", string(append(b, depth, 2, 0, 0, 0)))
}

// dot is a WebP of one pixel, lossless.
const dot = "RIFF\x1a\x00\x00\x00WEBPVP8L\x0d\x00\x00\x00\x2f\x00\x00\x00\x10\x07\x10\x11\x11\x88\x88\xfe\x07\x00"

// extended is dot with a header that says its size, and chunks after it.
func extended(w, h int, flags byte, chunks string) string {
	body := "WEBPVP8X\x0a\x00\x00\x00" + string([]byte{flags, 0, 0, 0, byte(w - 1), byte((w - 1) >> 8), 0, byte(h - 1), byte((h - 1) >> 8), 0}) + dot[12:] + chunks
	return "RIFF" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(body)))) + body
}

// exif is a segment of a JPEG that says an orientation, and where the picture was taken.
func exif(orientation byte) string {
	tiff := "II*\x00\x08\x00\x00\x00\x02\x00\x0f\x01\x02\x00\x04\x00\x00\x00GPS:\x12\x01\x03\x00\x01\x00\x00\x00" + string([]byte{orientation, 0}) + "\x00\x00\x00\x00\x00\x00secret place"
	return "\xff\xe1" + string(binary.BigEndian.AppendUint16(nil, uint16(len(tiff)+8))) + "Exif\x00\x00" + tiff
}

func clean(in string) (picture.Info, string, error) {
	var out bytes.Buffer
	i, err := picture.Clean(&out, strings.NewReader(in))
	return i, out.String(), err
}

var decoders = map[string]func(io.Reader) (image.Image, error){"image/png": png.Decode, "image/jpeg": jpeg.Decode, "image/gif": gif.Decode, "image/webp": webp.Decode}

// What is needed stays as it is, and what is not needed goes: metadata, comments, and whatever follows the end.
func TestClean(t *testing.T) {
	t.Parallel()
	m := quarters(40, 30)
	p, j, g := string(encoded(t, "png", m)), string(encoded(t, "jpeg", m)), string(encoded(t, "gif", m))
	comment := "\xff\xfe\x00\x0esecret place"
	frame := g[strings.Index(g, "\x2c"):]
	for name, c := range map[string]struct {
		in   string
		want picture.Info
		same bool
	}{
		"png":                 {p, picture.Info{Type: "image/png", Width: 40, Height: 30}, true},
		"png with metadata":   {p[:33] + pngChunk("eXIf", "secret place") + pngChunk("tEXt", "where\x00secret place") + p[33:] + "secret place", picture.Info{Type: "image/png", Width: 40, Height: 30}, true},
		"jpeg":                {j, picture.Info{Type: "image/jpeg", Width: 40, Height: 30}, true},
		"jpeg with metadata":  {j[:2] + exif(1) + comment + j[2:] + "secret place", picture.Info{Type: "image/jpeg", Width: 40, Height: 30}, true},
		"jpeg that is turned": {j[:2] + exif(6) + comment + j[2:], picture.Info{Type: "image/jpeg", Width: 40, Height: 30, Orientation: 6}, false},
		"gif":                 {g, picture.Info{Type: "image/gif", Width: 40, Height: 30}, true},
		"gif with comments":   {strings.TrimSuffix(g, frame) + "\x21\xfe\x0csecret place\x00" + frame + "secret place", picture.Info{Type: "image/gif", Width: 40, Height: 30}, true},
		"webp":                {dot, picture.Info{Type: "image/webp", Width: 1, Height: 1}, true},
		"webp with metadata":  {extended(1, 1, 8, "EXIF\x0c\x00\x00\x00secret place"), picture.Info{Type: "image/webp", Width: 1, Height: 1}, false},
	} {
		got, out, err := clean(c.in)
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v", name, got, err)
			continue
		}
		if strings.Contains(out, "secret") || c.same && len(out) != len(map[string]string{"image/png": p, "image/jpeg": j, "image/gif": g, "image/webp": dot}[got.Type]) {
			t.Errorf("%s: %d bytes of %d: %q", name, len(out), len(c.in), out)
		}
		if _, err := decoders[got.Type](strings.NewReader(out)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if again, twice, err := clean(out); err != nil || twice != out || again != got {
			t.Errorf("%s: cleaning it again gives something else: %+v, %v", name, again, err)
		}
		for n := range out { // wherever it is cut off
			if _, _, err := clean(out[:n]); chat.CodeOf(err) != chat.CodeBadInput {
				t.Fatalf("%s cut off after %d of %d bytes: %v", name, n, len(out), err)
			}
		}
	}
}

// Lies and bombs are refused, without looking far into them.
func TestRefused(t *testing.T) {
	t.Parallel()
	j, g := string(encoded(t, "jpeg", quarters(8, 8))), string(encoded(t, "gif", quarters(8, 8)))
	sof := strings.Index(j, "\xff\xc0")
	sized := func(s string, at int, with string) string { return s[:at] + with + s[at+len(with):] }
	progressive := sized(sized(j, sof, "\xff\xc2"), sof+5, "\x0f\xa0\x0f\xa0") // 4,000 × 4,000
	for name, in := range map[string]string{
		"nothing":                        "",
		"a text":                         "this is no picture",
		"SVG":                            `<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`,
		"a page":                         "<!doctype html><script>alert(1)</script>",
		"PDF":                            "%PDF-1.7\n",
		"a PNG of 50,000 × 50,000":       pngHead(50_000, 50_000, 8),
		"a PNG of 8,000 × 8,000":         pngHead(8_000, 8_000, 8),
		"a PNG of 5,000 × 5,000 × 16":    pngHead(5_000, 5_000, 16),
		"a PNG of nothing":               pngHead(0, 10, 8),
		"a PNG that begins in its midst": "\x89PNG\r\n\x1a\n" + pngChunk("IDAT", "x"),
		"a PNG with two heads":           pngHead(10, 10, 8) + pngHead(10, 10, 8)[8:],
		"a PNG of an unknown kind":       pngHead(10, 10, 8) + pngChunk("XXXX", "x"),
		"a PNG without a picture":        pngHead(10, 10, 8) + pngChunk("IEND", ""),
		"a JPEG of 65,535 × 65,535":      sized(j, sof+5, "\xff\xff\xff\xff"),
		"a progressive JPEG of 16 MP":    progressive,
		"a JPEG without a picture":       "\xff\xd8\xff\xd9",
		"a JPEG with two sizes":          j[:sof] + j[sof:sof+19] + j[sof:],
		"a JPEG of 12 bits":              sized(j, sof+4, "\x0c"),
		"a GIF of 60,000 × 60,000":       sized(g, 6, "\x60\xea\x60\xea"),
		"a GIF with a larger frame":      sized(g, strings.Index(g, "\x2c\x00\x00")+5, "\x60\xea\x60\xea"),
		"a GIF without a picture":        g[:13+3<<8] + ";",
		"a WebP of 16,384 × 16,384":      sized(dot, 21, "\xff\xff\xff\x0f"),
		"a WebP whose frame is larger":   sized(extended(1, 1, 0, ""), 12+18+9, "\xff\xff\xff\x0f"),
		"a WebP that moves":              extended(1, 1, 2, ""),
		"a WebP of 4,000 × 4,000":        extended(4_000, 4_000, 16, ""),
		"a WebP without a picture":       "RIFF\x04\x00\x00\x00WEBP",
		"a WebP of more than it holds":   "RIFF\xff\xff\xff\xffWEBP" + dot[12:],
	} {
		if got, _, err := clean(in); chat.CodeOf(err) != chat.CodeBadInput {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	broken := errors.New("broken")
	for name, err := range map[string]error{
		"reading": func() error {
			_, err := picture.Clean(io.Discard, io.MultiReader(strings.NewReader(g[:20]), failing{broken}))
			return err
		}(),
		"first":   func() error { _, err := picture.Clean(io.Discard, failing{broken}); return err }(),
		"writing": func() error { _, err := picture.Clean(failing{broken}, strings.NewReader(g)); return err }(),
	} {
		if !errors.Is(err, broken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type failing struct{ error }

func (f failing) Read([]byte) (int, error)  { return 0, f.error }
func (f failing) Write([]byte) (int, error) { return 0, f.error }

// The squares show the middle, upright whatever the camera's position, and hold no metadata.
func TestSquares(t *testing.T) {
	t.Parallel()
	const red, green, blue, white = "ff0000", "00ff00", "0000ff", "ffffff"
	at := func(m image.Image, x, y int) string {
		r, g, b, _ := m.At(x, y).RGBA()
		for _, c := range []string{red, green, blue, white} {
			var cr, cg, cb int
			_, _ = fmt.Sscanf(c, "%02x%02x%02x", &cr, &cg, &cb)
			if abs(int(r>>8)-cr)+abs(int(g>>8)-cg)+abs(int(b>>8)-cb) < 60 {
				return c
			}
		}
		return "?"
	}
	j := string(encoded(t, "jpeg", quarters(400, 300)))
	for orientation, want := range [][4]string{
		1: {red, green, blue, white}, 2: {green, red, white, blue}, 3: {white, blue, green, red}, 4: {blue, white, red, green},
		5: {red, blue, green, white}, 6: {blue, red, white, green}, 7: {white, green, blue, red}, 8: {green, white, red, blue},
	} {
		if orientation == 0 {
			continue
		}
		info, out, err := clean(j[:2] + exif(byte(orientation)) + j[2:])
		if err != nil {
			t.Fatal(err)
		}
		squares, err := picture.Squares(strings.NewReader(out), info, 256, 64)
		if err != nil || len(squares) != 2 {
			t.Fatal(squares, err)
		}
		for i, s := range squares {
			m, kind, err := image.Decode(bytes.NewReader(s.Data))
			n := []int{256, 64}[i]
			if err != nil || s.Type != "image/jpeg" || kind != "jpeg" || m.Bounds() != image.Rect(0, 0, n, n) || s.Size != n || bytes.Contains(s.Data, []byte("Exif")) {
				t.Fatal(s.Type, kind, err)
			}
			if got := [4]string{at(m, n/4, n/4), at(m, 3*n/4, n/4), at(m, n/4, 3*n/4), at(m, 3*n/4, 3*n/4)}; got != want {
				t.Errorf("orientation %d: %v, want %v", orientation, got, want)
			}
		}
	}
	half := quarters(10, 20)
	half.Set(5, 10, color.Transparent)
	for _, format := range []string{"png", "gif"} {
		info, out, err := clean(string(encoded(t, format, half)))
		if err != nil {
			t.Fatal(err)
		}
		squares, err := picture.Squares(strings.NewReader(out), info, 64)
		if err != nil || squares[0].Type != "image/png" && format == "png" {
			t.Errorf("%s: %v, %v", format, squares, err)
		}
	}
	if s, err := picture.Squares(strings.NewReader(dot), picture.Info{Type: "image/webp"}, 64); err != nil || len(s) != 1 {
		t.Error(s, err)
	}
	// What has the right structure may still be nonsense.
	if _, err := picture.Squares(strings.NewReader(pngHead(10, 10, 8)+pngChunk("IDAT", "x")+pngChunk("IEND", "")), picture.Info{Type: "image/png"}, 64); chat.CodeOf(err) != chat.CodeBadInput {
		t.Error(err)
	}
	broken := errors.New("broken")
	if _, err := picture.Squares(io.MultiReader(strings.NewReader(j[:700]), failing{broken}), picture.Info{Type: "image/jpeg"}, 64); !errors.Is(err, broken) {
		t.Error(err)
	}
}

func abs(n int) int { return max(n, -n) }

// Whatever comes, cleaning ends, does not grow it, and what is let through can be cleaned again without a change.
func FuzzClean(f *testing.F) {
	m := quarters(8, 8)
	for _, s := range []string{string(encoded(f, "png", m)), string(encoded(f, "jpeg", m)), string(encoded(f, "gif", m)), dot, extended(1, 1, 8, "EXIF\x02\x00\x00\x00II"),
		"\xff\xd8" + exif(6) + string(encoded(f, "jpeg", m))[2:]} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		info, out, err := clean(in)
		if err != nil {
			if chat.CodeOf(err) != chat.CodeBadInput {
				t.Fatal(err)
			}
			return
		}
		if info.Width*info.Height > picture.MaxPixels || len(out) > len(in)+40 {
			t.Fatalf("%+v, %d bytes of %d", info, len(out), len(in))
		}
		if again, twice, err := clean(out); err != nil || twice != out || again != info {
			t.Fatalf("%+v and then %+v, %v", info, again, err)
		}
		if info.Width*info.Height <= 1<<16 {
			_, _ = picture.Squares(strings.NewReader(out), info, 16)
		}
	})
}

func BenchmarkSquares(b *testing.B) {
	for _, size := range []int{500, 2000, 5000} {
		in := string(encoded(b, "jpeg", quarters(size, size)))
		info, out, err := clean(in)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := picture.Squares(strings.NewReader(out), info, 256, 64); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
