package request

import (
	"bytes"
	"encoding/json"
)

// Object calls member for each member of a JSON object, in order; value stands in text. It says whether text is one JSON
// object with nothing behind it, and calls nothing otherwise. Beyond the check it allocates nothing: every message of
// every client comes through here.
func Object(text []byte, member func(name, value []byte)) bool {
	i := space(text, 0)
	if i == len(text) || text[i] != '{' || !json.Valid(text) {
		return false
	}
	for i = space(text, i+1); text[i] != '}'; {
		end := valueEnd(text, i)
		name := text[i+1 : end-1]
		if bytes.IndexByte(name, '\\') >= 0 {
			s, _ := Text(text[i:end])
			name = []byte(s)
		}
		i = colon(text, end)
		end = valueEnd(text, i)
		member(name, text[i:end])
		i = comma(text, end)
	}
	return true
}

// build makes of the value that begins at i in valid JSON what encoding/json makes of it with numbers as they are
// written, and says where the value ends. It looks at each byte once, however deeply values are nested.
func build(text []byte, i int) (v any, end int) {
	switch text[i] {
	case '{':
		m := map[string]any{}
		for i = space(text, i+1); text[i] != '}'; {
			end = valueEnd(text, i)
			name, _ := Text(text[i:end])
			m[name], i = build(text, colon(text, end))
			i = comma(text, i)
		}
		return m, i + 1
	case '[':
		l := []any{}
		for i = space(text, i+1); text[i] != ']'; {
			v, i = build(text, i)
			l = append(l, v)
			i = comma(text, i)
		}
		return l, i + 1
	}
	end = valueEnd(text, i)
	switch value := text[i:end]; value[0] {
	case '"':
		s, _ := Text(value)
		return s, end
	case 't', 'f':
		return value[0] == 't', end
	case 'n':
		return nil, end
	default:
		return json.Number(value), end
	}
}

// colon goes from the end of a member's name to its value.
func colon(text []byte, i int) int { return space(text, space(text, i)+1) }

// comma goes from the end of a value to the next one, or to what closes the object or list.
func comma(text []byte, i int) int {
	if i = space(text, i); text[i] == ',' {
		i = space(text, i+1)
	}
	return i
}

func space(text []byte, i int) int {
	for i < len(text) && (text[i] == ' ' || text[i] == '\t' || text[i] == '\n' || text[i] == '\r') {
		i++
	}
	return i
}

// valueEnd is where the value ends that begins at i, inside of an object or a list in valid JSON.
func valueEnd(text []byte, i int) int {
	for depth := 0; ; i++ {
		switch text[i] {
		case '"':
			for i++; text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 { // the object's own, or the list's, behind a number or a word
				return i
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return i
			}
		}
	}
}

// Text reads a JSON string; ok is false for any other value.
func Text(value []byte) (s string, ok bool) {
	if len(value) < 2 || value[0] != '"' {
		return "", false
	}
	if inner := value[1 : len(value)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return string(inner), true
	}
	return s, json.Unmarshal(value, &s) == nil
}

// Null says whether a value is null.
func Null(value []byte) bool { return string(value) == "null" }
