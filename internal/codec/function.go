package codec

import (
	"encoding/binary"
	"reflect"
	"sync"
	"unsafe"

	"github.com/fleetinglambda/flame/internal/image"
)

// layouts keeps the plans of closures that are sent.
var layouts = sync.OnceValue(newFound[*image.Closure, *plan])

// layoutOf returns the plan for a closure's variables as image has found them.
func layoutOf(im *image.Image, c *image.Closure) *plan {
	if p, ok := layouts().known()[c]; ok {
		return p
	}
	return layouts().keep(c, newLayout(im, c))
}

func newLayout(im *image.Image, c *image.Closure) *plan {
	p := &plan{typ: c.Type, size: c.Type.Size(), closure: c}
	p.off, p.inImage = im.TypeOffset(c.Type)
	p.ops = append(p.ops, op{kind: opEntry, n: wordSize})
	wire := binary.AppendUvarint(nil, c.Entry)
	wire = binary.AppendUvarint(wire, p.off)
	for _, f := range c.Fields {
		if f.Dict {
			p.ops = append(p.ops, op{kind: opDict, off: f.Offset, n: wordSize, typ: f.Type})
			wire = binary.AppendUvarint(wire, 0)
			continue
		}
		off, ok := im.TypeOffset(f.Type)
		wire = binary.AppendUvarint(wire, off)
		p.add(f.Type, f.Offset, "")
		if !ok && p.refused == nil {
			p.refused = &refusal{typ: f.Type, reason: "its type is made of type parameters and stands nowhere in the program: " +
				"pass it through a function that is not generic"}
		}
	}
	p.finish()
	p.flat = false
	p.wire = string(wire)
	return p
}

// received keeps the layouts that came in messages, by what the message said.
var received = sync.OnceValue(newFound[string, *plan])

func (d *decoder) readLayouts() {
	n := d.count(1)
	if n > 0 && d.trust != Trusted {
		d.fail("a func value that captured something, in a result: return what it would compute")
		return
	}
	for range n {
		wire := d.bytes(d.uint())
		if d.err != nil {
			return
		}
		p, ok := received().known()[string(wire)]
		if !ok {
			if p = d.readLayout(string(wire)); p == nil {
				return
			}
		}
		d.layouts = append(d.layouts, p)
	}
}

// readLayout makes the plan for a layout that is new here; nil after an error.
func (d *decoder) readLayout(wire string) *plan {
	data, at := d.data, d.at
	defer func() { d.data, d.at = data, at }()
	d.data, d.at = []byte(wire), 0
	c := &image.Closure{Entry: d.uint()}
	p := d.typeAt(d.uint())
	if d.err != nil {
		return nil
	}
	c.Type = p.typ
	for i := 1; d.left() > 0; i++ {
		if c.Type.Kind() != reflect.Struct || i >= c.Type.NumField() {
			d.fail("%v is no layout of a closure", c.Type)
			return nil
		}
		at := c.Type.Field(i)
		f := image.Field{Offset: at.Offset, Type: at.Type, Dict: true}
		if off := d.uint(); off != 0 {
			t := d.typeAt(off)
			if d.err != nil {
				return nil
			}
			f.Type, f.Dict = t.typ, false
		}
		if f.Type.Size() != at.Type.Size() {
			d.fail("a %v is no variable of %v", f.Type, c.Type)
			return nil
		}
		c.Fields = append(c.Fields, f)
	}
	return received().keep(wire, newLayout(d.im, c))
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
