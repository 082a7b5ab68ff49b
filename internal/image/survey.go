package image

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// Survey is how well the closures of an executable are understood.
type Survey struct {
	Sites     int               // allocations that take the descriptor of a closure
	Bound     int               // of them, those whose closure's code is known
	Conflicts []string          // functions whose closures are made as two descriptors say
	Unbound   []Unbound         // the other sites, in the order of the code
	Layouts   map[string]string // function -> the fields of its closures, with their types
}

// Unbound is a place that allocates a closure whose code is not known, or a function that was not understood.
type Unbound struct {
	Func   string
	PC     uint64 // as the file has it
	Reason string
}

// Reasons of Unbound.
const (
	reasonLost   = "the code that is stored in the closure was not seen"
	reasonUnread = "the function could not be decoded"
	reasonNoCall = "the descriptor is not given to an allocator that is known"
)

// SurveyFile surveys an executable of Go for amd64 or arm64, for any system: ELF, Mach-O or PE, stripped or not. It need not be
// able to run here. Nothing in the file is trusted.
func SurveyFile(path string) (*Survey, error) {
	p, err := openFile(path)
	if err != nil {
		return nil, fmt.Errorf("survey %s: %w", path, err)
	}
	s, err := p.survey()
	if err != nil {
		return nil, fmt.Errorf("survey %s: %w", path, err)
	}
	return s, nil
}

// survey tracks all functions that load the descriptor of a closure.
func (p *fileProgram) survey() (*Survey, error) {
	s := &Survey{Layouts: make(map[string]string)}
	descs, clash := make(map[uintptr]uintptr), make(map[uintptr]bool)
	for entry, named := range p.makers() {
		m := track(p, entry)
		_, name := p.function(entry)
		s.count(m, name, named)
		for _, b := range m.bound {
			if d, ok := descs[b.code]; ok && d != b.desc {
				clash[b.code] = true
			}
			descs[b.code] = b.desc
		}
	}
	for code, desc := range descs {
		_, name := p.function(code)
		s.Layouts[name] = p.layout(desc)
		if clash[code] {
			s.Conflicts = append(s.Conflicts, name)
		}
	}
	slices.Sort(s.Conflicts)
	slices.SortFunc(s.Unbound, func(a, b Unbound) int { return cmp.Compare(a.PC, b.PC) })
	if s.Sites == 0 {
		return nil, errors.New("no closure is made in it (is it a Go program?)")
	}
	return s, nil
}

// count adds the sites of one function, which names these descriptors.
func (s *Survey) count(m makers, name string, named map[uintptr]uintptr) {
	for at, bound := range m.sites {
		delete(named, at.desc)
		if s.Sites++; bound {
			s.Bound++
		} else {
			s.Unbound = append(s.Unbound, Unbound{name, uint64(at.pc), reasonLost})
		}
	}
	reason := reasonNoCall
	if !m.read {
		reason = reasonUnread
	}
	for _, pc := range named {
		s.Sites++
		s.Unbound = append(s.Unbound, Unbound{name, uint64(pc), reason})
	}
}

// makers returns the functions that load addresses of descriptors of closures: which ones, and where.
func (p *fileProgram) makers() map[uintptr]map[uintptr]uintptr {
	found := make(map[uintptr]map[uintptr]uintptr)
	known := make(map[uintptr]bool)
	for _, c := range p.chunks {
		if c.region != Text {
			continue
		}
		p.mach.eachLoad(c.data, c.start, func(at, loaded uintptr) {
			is, ok := known[loaded]
			if !ok {
				is = isClosure(p, loaded)
				known[loaded] = is
			}
			entry, _ := p.function(at)
			if !is || entry == 0 {
				return
			}
			if found[entry] == nil {
				found[entry] = make(map[uintptr]uintptr)
			}
			found[entry][loaded] = at
		})
	}
	return found
}

// layout tells the fields of a closure descriptor.
func (p *fileProgram) layout(desc uintptr) string {
	head := p.read(desc, structSize)
	fields := p.read(word64(head[structFields:]), word64(head[structFields+8:])*fieldSize)
	text := ""
	for f := range slices.Chunk(fields, fieldSize) {
		text += fieldName(p, f) + "@" + strconv.Itoa(int(word64(f[16:]))) + " " + p.typeName(word64(f[8:])) + "; "
	}
	return text
}

// typeName returns the name of the type with a descriptor.
func (p *fileProgram) typeName(desc uintptr) string {
	const star = 1 << 1 // the name has an asterisk before it that does not belong to it
	t := p.read(desc, structFields)
	if t == nil {
		return "?"
	}
	name := nameAt(p, p.types+uintptr(uint32(word64(t[typeName:]))))
	if t[typeFlags]&star != 0 && name != "" {
		name = name[1:]
	}
	return name
}
