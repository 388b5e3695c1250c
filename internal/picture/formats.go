package picture

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
)

// png is a signature and chunks: length, type, content, checksum.
func (c *cleaner) png() {
	c.write(c.read(8)...)
	kept := []string{"IHDR", "PLTE", "IDAT", "IEND", "tRNS", "gAMA", "cHRM", "sRGB", "iCCP", "sBIT"}
	for data := false; ; {
		head := [8]byte(c.read(8))
		n, kind := int64(binary.BigEndian.Uint32(head[:4])), string(head[4:])
		switch {
		case n > 1<<31-1, (kind == "IHDR") != (c.Width == 0), kind == "IHDR" && n != 13:
			c.stop(errBroken)
		case !slices.Contains(kept, kind):
			if kind[0]&0x20 == 0 { // critical, and unknown
				c.stop(errBroken)
			}
			c.skip(n + 4)
			continue
		}
		c.write(head[:]...)
		if kind == "IHDR" {
			b := c.read(13)
			c.sized(int(binary.BigEndian.Uint32(b)), int(binary.BigEndian.Uint32(b[4:])), b[8] == 16)
			c.write(b...)
			n = 0
		}
		c.copy(n + 4)
		data = data || kind == "IDAT"
		if kind == "IEND" {
			if !data {
				c.stop(errCutOff)
			}
			return
		}
	}
}

// The markers of a JPEG.
const (
	sof0, sof1, sof2 = 0xc0, 0xc1, 0xc2
	dht, dac         = 0xc4, 0xcc
	rst0, rst7       = 0xd0, 0xd7
	soi, eoi, sos    = 0xd8, 0xd9, 0xda
	dqt, dri         = 0xdb, 0xdd
	app0, app15, com = 0xe0, 0xef, 0xfe
)

// jpeg is markers, most of which begin a segment with its length; after sos follows what is no segment.
func (c *cleaner) jpeg() {
	c.write(c.read(2)...)
	scanned := false
	for m := c.marker(); m != eoi; {
		switch {
		case m == sof0, m == sof1, m == sof2, m == dht, m == dqt, m == dri, m == sos, m == com, m >= app0 && m <= app15:
			c.segment(m)
		default:
			c.stop(errBroken)
		}
		if m != sos {
			m = c.marker()
			continue
		}
		if c.Width == 0 {
			c.stop(errBroken)
		}
		scanned, m = true, c.scan()
	}
	if !scanned {
		c.stop(errCutOff)
	}
	c.write(0xff, eoi)
}

func (c *cleaner) marker() byte {
	if c.byte() != 0xff {
		c.stop(errBroken)
	}
	for {
		if m := c.byte(); m != 0xff { // any number of them may fill
			return m
		}
	}
}

func (c *cleaner) segment(m byte) {
	n := int64(binary.BigEndian.Uint16(c.read(2))) - 2
	if n < 0 {
		c.stop(errBroken)
	}
	begin := func() { c.write(0xff, m, byte((n+2)>>8), byte(n+2)) } //nolint:gosec // it came from two bytes
	switch {
	case m == sof0 || m == sof1 || m == sof2:
		if n < 6 || n > int64(len(c.buf)) || c.Width != 0 {
			c.stop(errBroken)
		}
		b := c.read(int(n))
		if b[0] != 8 { // bits a channel
			c.stop(errUnknown)
		}
		c.sized(int(binary.BigEndian.Uint16(b[3:])), int(binary.BigEndian.Uint16(b[1:])), m == sof2)
		begin()
		c.write(b...)
	case m == app0+1:
		c.exif(n)
	case m > app0 && m <= app15 || m == com:
		// Which colours the numbers mean is kept: the profile, and what Adobe's programs say of it.
		name := map[byte]string{app0 + 2: "ICC_PROFILE\x00", app0 + 14: "Adobe"}[m]
		b, _ := c.r.Peek(len(name))
		if name == "" || n < int64(len(name)) || string(b) != name {
			c.skip(n)
			return
		}
		fallthrough
	default:
		begin()
		c.copy(n)
	}
}

// scan copies what follows sos, up to the next marker, which it returns.
func (c *cleaner) scan() byte {
	for {
		b, err := c.r.ReadSlice(0xff)
		if errors.Is(err, bufio.ErrBufferFull) {
			c.write(b...)
			continue
		}
		if err != nil {
			c.stop(err)
		}
		c.write(b[:len(b)-1]...)
		m := c.byte()
		for m == 0xff {
			m = c.byte()
		}
		if m != 0 && (m < rst0 || m > rst7) {
			return m
		}
		c.write(0xff, m)
	}
}

// exif keeps of a segment nothing but the orientation: the entry 0x0112 of the first directory of a TIFF file.
func (c *cleaner) exif(n int64) {
	head := c.read(int(min(n, int64(len(c.buf)))))
	o := orientation(head)
	c.skip(n - int64(len(head)))
	if o > 1 && o <= 8 && c.Orientation == 0 {
		c.Orientation = int(o)
		c.write(exifOf(o)...)
	}
}

const exifName = "Exif\x00\x00"

// exifOf is a segment that says nothing but an orientation.
func exifOf(o byte) []byte {
	tiff := []byte("MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00" + string([]byte{o}) + "\x00\x00\x00\x00\x00\x00")
	n := 2 + len(exifName) + len(tiff)
	return append([]byte{0xff, app0 + 1, byte(n >> 8), byte(n)}, exifName+string(tiff)...) //nolint:gosec // 34
}

// orientation reads that of an Exif segment; 0 where there is none.
func orientation(b []byte) byte {
	b, ok := bytes.CutPrefix(b, []byte(exifName))
	if !ok || len(b) < 8 {
		return 0
	}
	var order binary.ByteOrder = binary.BigEndian
	if b[0] == 'I' {
		order = binary.LittleEndian
	}
	at := int64(order.Uint32(b[4:]))
	if at+2 > int64(len(b)) {
		return 0
	}
	entries := b[at+2:]
	for range order.Uint16(b[at:]) {
		if len(entries) < 12 {
			return 0
		}
		if order.Uint16(entries) == 0x0112 && order.Uint16(entries[2:]) == 3 {
			return byte(order.Uint16(entries[8:])) //nolint:gosec // what is too large is none
		}
		entries = entries[12:]
	}
	return 0
}

// gif is a screen, and blocks that are images, extensions, or the end.
func (c *cleaner) gif() {
	b := [13]byte(c.read(13))
	c.sized(int(binary.LittleEndian.Uint16(b[6:])), int(binary.LittleEndian.Uint16(b[8:])), false)
	c.write(b[:]...)
	c.colours(b[10])
	for images := 0; ; {
		switch kind := c.byte(); kind {
		case 0x21:
			label := c.byte()
			name, _ := c.r.Peek(12)
			keep := label == 0xf9 || label == 0xff && string(name) == "\x0bNETSCAPE2.0" // how it moves
			if keep {
				c.write(kind, label)
			}
			c.blocks(keep)
		case 0x2c:
			b := c.read(9)
			x, y := int(binary.LittleEndian.Uint16(b)), int(binary.LittleEndian.Uint16(b[2:]))
			if x+int(binary.LittleEndian.Uint16(b[4:])) > c.Width || y+int(binary.LittleEndian.Uint16(b[6:])) > c.Height {
				c.stop(errBroken)
			}
			flags := b[8]
			c.write(kind)
			c.write(b...)
			c.colours(flags)
			c.write(c.byte()) // the size of a code
			c.blocks(true)
			images++
		case 0x3b:
			if images == 0 {
				c.stop(errCutOff)
			}
			c.write(kind)
			return
		default:
			c.stop(errBroken)
		}
	}
}

// colours copies the table that flags announce.
func (c *cleaner) colours(flags byte) {
	if flags&0x80 != 0 {
		c.copy(3 << (flags&7 + 1))
	}
}

// blocks are blocks of up to 255 bytes, up to an empty one.
func (c *cleaner) blocks(keep bool) {
	for {
		n := c.byte()
		if !keep {
			c.skip(int64(n))
		} else {
			c.write(n)
			c.copy(int64(n))
		}
		if n == 0 {
			return
		}
	}
}

// webp is chunks within one: type, length, content, and a byte that makes the length even. Those that are left out become
// as many zeros, which readers skip: the length of the whole stands at its beginning.
func (c *cleaner) webp() {
	b := c.read(12)
	left := int64(binary.LittleEndian.Uint32(b[4:])) - 4
	c.write(b...)
	extended, pictures := false, 0
	for left > 0 {
		head := [8]byte(c.read(8))
		n, kind := int64(binary.LittleEndian.Uint32(head[4:])), string(head[:4])
		if left -= 8 + n + n&1; left < 0 {
			c.stop(errBroken)
		}
		n += n & 1
		var begin []byte
		switch kind {
		case "VP8X":
			if n != 10 || c.Width != 0 {
				c.stop(errBroken)
			}
			begin = c.read(10)
			if begin[0]&2 != 0 {
				c.stop(errUnknown) // it moves
			}
			begin[0] &^= 4 | 8 // no metadata follows
			c.sized(1+int(begin[4])|int(begin[5])<<8|int(begin[6])<<16, 1+int(begin[7])|int(begin[8])<<8|int(begin[9])<<16, begin[0]&16 != 0)
			extended = true
		case "VP8 ":
			if n < 10 {
				c.stop(errCutOff)
			}
			begin = c.read(10)
			c.frame(extended, int(binary.LittleEndian.Uint16(begin[6:])&0x3fff), int(binary.LittleEndian.Uint16(begin[8:])&0x3fff), false)
			pictures++
		case "VP8L":
			if n < 5 {
				c.stop(errCutOff)
			}
			begin = c.read(5)
			bits := binary.LittleEndian.Uint32(begin[1:])
			c.frame(extended, 1+int(bits&0x3fff), 1+int(bits>>14&0x3fff), true)
			pictures++
		case "ALPH", "ICCP":
		default:
			c.write([]byte("JUNK")...)
			c.write(head[4:]...)
			for ; n > 0; n-- {
				c.byte()
				c.write(0)
			}
			continue
		}
		c.write(head[:]...)
		c.write(begin...)
		c.copy(n - int64(len(begin)))
	}
	if pictures != 1 {
		c.stop(errCutOff)
	}
}

// frame is the size of a WebP's one picture, which is the whole's if that says one.
func (c *cleaner) frame(extended bool, width, height int, deep bool) {
	if extended && (width != c.Width || height != c.Height) {
		c.stop(errBroken)
	}
	c.sized(width, height, deep)
}
