package codec

import (
	"reflect"
	"sync"
	"unsafe"

	"github.com/fleetinglambda/flame/internal/image"
)

// received keeps the layouts that came in messages: their text in the message, with types by offset -> *plan.
var received sync.Map

// layoutKey is what a received layout consists of.
type layoutKey struct {
	entry, layout uint64
	fields        string // the fields' types' offsets, eight bytes each; 0 for a dictionary
}

func (d *decoder) readLayouts() {
	n := d.count(3)
	if n > 0 && d.trust != Trusted {
		d.fail("a func value that captured something, in a result: return what it would compute")
		return
	}
	for range n {
		d.readLayout()
		if d.err != nil {
			return
		}
	}
}

func (d *decoder) readLayout() {
	c := &image.Closure{Entry: d.uint()}
	p := d.named(d.uint())
	n := d.count(1)
	if d.err != nil {
		return
	}
	var room [16 * 8]byte
	offsets := room[:0]
	fields := make([]*plan, 0, 16)
	for range n {
		id := d.uint()
		var f *plan
		if id > 0 {
			if f = d.named(id - 1); f == nil {
				return
			}
			offsets = appendWord(offsets, f.off)
		} else {
			offsets = appendWord(offsets, 0)
		}
		fields = append(fields, f)
	}
	if d.err != nil {
		return
	}
	key := layoutKey{c.Entry, p.off, string(offsets)}
	if made, ok := received.Load(key); ok {
		d.layouts = append(d.layouts, made.(*plan))
		return
	}
	d.newLayout(key, c, p, fields)
}

func appendWord(b []byte, v uint64) []byte {
	return append(b, byte(v), byte(v>>8), byte(v>>16), byte(v>>24), byte(v>>32), byte(v>>40), byte(v>>48), byte(v>>56))
}

// newLayout makes the plan for a layout that is new here.
func (d *decoder) newLayout(key layoutKey, c *image.Closure, p *plan, fields []*plan) {
	t := p.typ
	if t.Kind() != reflect.Struct || t.NumField() != len(fields)+1 || t.Field(0).Type.Kind() != reflect.Uintptr ||
		d.im.Pointer(c.Entry) == nil {
		d.fail("%v is no layout of a closure with %d variables", t, len(fields))
		return
	}
	c.Type = t
	for i, f := range fields {
		at := t.Field(i + 1)
		field := image.Field{Offset: at.Offset, Type: at.Type, Dict: f == nil}
		if f != nil {
			field.Type = f.typ
		}
		if field.Type.Size() != at.Type.Size() {
			d.fail("a %v is no variable of %v", field.Type, t)
			return
		}
		c.Fields = append(c.Fields, field)
	}
	made, _ := received.LoadOrStore(key, newLayout(d.im, c))
	d.layouts = append(d.layouts, made.(*plan))
}

// function reads a func value.
func (d *decoder) function() unsafe.Pointer {
	tag := d.uint()
	if tag == tagNil {
		return nil
	}
	if d.trust != Trusted {
		d.fail("a func value in a result: return what it would compute")
		return nil
	}
	if tag == tagStatic {
		f, err := d.im.StaticFunc(d.uint())
		if err != nil {
			d.fail("%w", err)
		}
		return f
	}
	id := (tag - tagFirst) >> 1
	if tag&1 == 1 || id >= uint64(len(d.objects)) || d.objects[id].kind != kindClosure {
		d.fail("object %d is no closure", id)
		return nil
	}
	return d.objects[id].base
}
