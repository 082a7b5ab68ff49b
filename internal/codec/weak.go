package codec

import (
	"reflect"
	"unsafe"
	"weak"
)

// WeakChannel knows a channel and does not keep it.
type WeakChannel struct {
	typ reflect.Type
	at  weak.Pointer[byte]
}

// WeakChannelOf returns what knows ch, which is a channel and not nil.
func WeakChannelOf(ch reflect.Value) WeakChannel {
	return WeakChannel{ch.Type(), weak.Make((*byte)(ch.UnsafePointer()))} // a channel is a pointer to an object of the heap
}

// Channel returns the channel; false if nobody has it any more.
func (w WeakChannel) Channel() (reflect.Value, bool) {
	at := unsafe.Pointer(w.at.Value())
	if at == nil {
		return reflect.Value{}, false
	}
	return reflect.NewAt(w.typ, unsafe.Pointer(&at)).Elem(), true // a variable that holds the pointer is a variable of the channel's type
}
