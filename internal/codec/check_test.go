package codec

import (
	"context"
	"errors"
	"html/template"
	"io"
	"reflect"
	"strings"
	"testing"
	"time"
)

type inner struct {
	next  *inner
	locks map[string][]*guarded
}

func TestCheckTypeLooksAtAllThatATypeLeadsTo(t *testing.T) {
	for _, c := range []struct {
		typ  reflect.Type
		want string // "" if it can cross
	}{
		{reflect.TypeFor[int](), ""},
		{reflect.TypeFor[map[string][]*owner](), "map[string][]*codec.owner → .items ([]*codec.guarded) → .deep.mu (sync.RWMutex): it is for goroutines"},
		{reflect.TypeFor[*inner](), "*codec.inner → .locks (map[string][]*codec.guarded) → .deep.mu (sync.RWMutex)"},
		{reflect.TypeFor[io.ReadCloser](), ""},
		{reflect.TypeFor[[]io.Reader](), "io.Reader: an io.Reader is lent to a call and does not come back with a result that cannot be closed"},
		{reflect.TypeFor[struct{ ctx context.Context }](), ".ctx (context.Context): a context.Context is lent to a call"},
		{reflect.TypeFor[chan int](), "a channel"},
		{reflect.TypeFor[any](), ""},
		{reflect.TypeFor[[]error](), ""},
		{reflect.TypeFor[map[time.Time]*time.Location](), ""},
		{reflect.TypeFor[func()](), ""},
	} {
		for range 2 { // the second time it is known
			err := CheckType(c.typ)
			var refused *SendError
			if (err != nil) != (c.want != "") || err != nil && (!errors.As(err, &refused) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("%v: %v", c.typ, err)
			}
		}
	}
}

func TestAdviceNamesWhatAProgramWouldDeclare(t *testing.T) {
	page := template.Must(template.New("page").Parse("page"))
	fn := func() string { return page.Name() }
	if err := Check(&fn); err == nil || !strings.Contains(err.Error(), `for the *template.Template: flame.PerProcess("template", t)`) {
		t.Error("of another package: ", err)
	}
	mine := &struct{ *owner }{&owner{items: []*guarded{{}}}}
	of := func() int { return len(mine.items) }
	if err := Check(&of); err == nil || !strings.Contains(err.Error(), `declare that in main: flame.PerProcess("guarded", g)`) {
		t.Error("of this package: ", err)
	}
}
