package lend

import (
	"encoding"
	"encoding/json"
	"fmt"
)

// printedOf returns what slog's handlers would print of a value: as text, and as JSON.
func printedOf(v any) (text string, js []byte) {
	defer func() {
		if p := recover(); p != nil { // as slog does: what is logged may be wrong in its own way
			text, js = fmt.Sprintf("!PANIC: %v", p), nil
		}
	}()
	if err, ok := v.(error); ok {
		if _, ok := v.(json.Marshaler); !ok {
			return err.Error(), nil
		}
	}
	js, err := json.Marshal(v)
	if err != nil {
		js = nil
	}
	if m, ok := v.(encoding.TextMarshaler); ok {
		b, err := m.MarshalText()
		if err != nil {
			return "!ERROR: " + err.Error(), js
		}
		return string(b), js
	}
	return fmt.Sprintf("%+v", v), js
}
