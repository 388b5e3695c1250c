package eventlog

import (
	"encoding/binary"
	"fmt"
	"hash"
	"hash/fnv"
	"math"
	"reflect"
	"time"

	"github.com/parley-chat/parley/internal/chat"
)

// packer writes values of one type as bytes and reads them again: what a node sends and takes follows from the nouns alone,
// and a field that is added one day travels too. A value is packed without names: both sides must know the same types
// (eventShape). get reports whether s began with such a value, and takes it off.
type packer struct {
	put func(b []byte, v reflect.Value) []byte
	get func(s *string, v reflect.Value) bool
}

// eventPacker is made once for all logs, and so is eventShape, which changes with any of the fields that travel.
var eventPacker, eventShape = func() (packer, uint64) {
	shape := fnv.New64a()
	p := packerOf(reflect.TypeFor[chat.Event](), shape)
	return p, shape.Sum64()
}()

func packerOf(t reflect.Type, shape hash.Hash) packer {
	fmt.Fprintf(shape, "%v %v;", t, t.Kind())
	switch t {
	case reflect.TypeFor[time.Time]():
		return packer{putTime, getTime}
	case reflect.TypeFor[chat.ID]():
		return packer{putID, getID}
	}
	switch t.Kind() {
	case reflect.Struct:
		return packFields(t, shape)
	case reflect.Pointer:
		return packPointer(t, packerOf(t.Elem(), shape))
	case reflect.Slice:
		return packSlice(t, packerOf(t.Elem(), shape))
	case reflect.String:
		return packer{
			func(b []byte, v reflect.Value) []byte {
				return append(binary.AppendUvarint(b, uint64(v.Len())), v.String()...) //nolint:gosec // not negative
			},
			func(s *string, v reflect.Value) bool {
				n, ok := getLength(s)
				if ok {
					v.SetString((*s)[:n])
					*s = (*s)[n:]
				}
				return ok
			},
		}
	case reflect.Bool:
		return packer{
			func(b []byte, v reflect.Value) []byte { return append(b, flag(v.Bool())) },
			func(s *string, v reflect.Value) bool {
				x, ok := getUint(s)
				v.SetBool(x == 1)
				return ok && x <= 1
			},
		}
	case reflect.Int, reflect.Int64:
		return packer{
			func(b []byte, v reflect.Value) []byte { return binary.AppendVarint(b, v.Int()) },
			func(s *string, v reflect.Value) bool {
				x, ok := getInt(s)
				v.SetInt(x)
				return ok
			},
		}
	case reflect.Uint8:
		return packer{
			func(b []byte, v reflect.Value) []byte { return append(b, byte(v.Uint())) }, //nolint:gosec // it is one
			func(s *string, v reflect.Value) bool {
				if *s == "" {
					return false
				}
				v.SetUint(uint64((*s)[0]))
				*s = (*s)[1:]
				return true
			},
		}
	}
	panic(fmt.Sprintf("eventlog: events hold a %v, which has no form yet to travel in", t)) // at the start, of a new field
}

func packFields(t reflect.Type, shape hash.Hash) packer {
	fields := make([]packer, t.NumField())
	for i := range fields {
		fmt.Fprintf(shape, "%s ", t.Field(i).Name)
		fields[i] = packerOf(t.Field(i).Type, shape)
	}
	return packer{
		func(b []byte, v reflect.Value) []byte {
			for i, f := range fields {
				b = f.put(b, v.Field(i))
			}
			return b
		},
		func(s *string, v reflect.Value) bool {
			for i, f := range fields {
				if !f.get(s, v.Field(i)) {
					return false
				}
			}
			return true
		},
	}
}

func packPointer(t reflect.Type, of packer) packer {
	return packer{
		func(b []byte, v reflect.Value) []byte {
			b = append(b, flag(!v.IsNil()))
			if !v.IsNil() {
				b = of.put(b, v.Elem())
			}
			return b
		},
		func(s *string, v reflect.Value) bool {
			there, ok := getUint(s)
			if ok && there == 1 {
				v.Set(reflect.New(t.Elem()))
				return of.get(s, v.Elem())
			}
			return ok && there == 0
		},
	}
}

func packSlice(t reflect.Type, of packer) packer {
	return packer{
		func(b []byte, v reflect.Value) []byte {
			b = binary.AppendUvarint(b, uint64(v.Len())) //nolint:gosec // not negative
			for i := range v.Len() {
				b = of.put(b, v.Index(i))
			}
			return b
		},
		func(s *string, v reflect.Value) bool {
			n, ok := getLength(s) // each takes a byte at least
			if !ok || n == 0 {
				return ok
			}
			v.Set(reflect.MakeSlice(t, n, n))
			for i := range n {
				if !of.get(s, v.Index(i)) {
					return false
				}
			}
			return true
		},
	}
}

// putTime keeps microseconds, as the databases do, in UTC.
func putTime(b []byte, v reflect.Value) []byte {
	x := v.Addr().Interface().(*time.Time)
	if x.IsZero() {
		return binary.AppendVarint(b, math.MinInt64)
	}
	return binary.AppendVarint(b, x.UnixMicro())
}

func getTime(s *string, v reflect.Value) bool {
	micros, ok := getInt(s)
	if micros != math.MinInt64 {
		*v.Addr().Interface().(*time.Time) = time.UnixMicro(micros).UTC()
	}
	return ok
}

func putID(b []byte, v reflect.Value) []byte {
	id := v.Addr().Interface().(*chat.ID)
	b = append(b, byte(id.Kind))
	if id.Kind != 0 {
		b = append(b, id.UUID[:]...)
	}
	return b
}

func getID(s *string, v reflect.Value) bool {
	id := v.Addr().Interface().(*chat.ID)
	if *s == "" {
		return false
	}
	id.Kind, *s = chat.Kind((*s)[0]), (*s)[1:]
	if id.Kind == 0 {
		return true
	}
	n := copy(id.UUID[:], *s)
	*s = (*s)[n:]
	return n == len(id.UUID)
}

func flag(is bool) byte {
	if is {
		return 1
	}
	return 0
}

// getUint reads a varint (binary.Uvarint, of a string).
func getUint(s *string) (x uint64, ok bool) {
	for i := range min(len(*s), binary.MaxVarintLen64) {
		c := (*s)[i]
		x |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			*s = (*s)[i+1:]
			return x, true
		}
	}
	return 0, false
}

func getInt(s *string) (int64, bool) {
	u, ok := getUint(s)
	return int64(u>>1) ^ -int64(u&1), ok //nolint:gosec // zigzag
}

// getLength is that of something which is still there.
func getLength(s *string) (int, bool) {
	n, ok := getUint(s)
	return int(n), ok && n <= uint64(len(*s)) //nolint:gosec // small enough
}
