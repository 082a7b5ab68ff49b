package flametest

import (
	"errors"
	"reflect"
	"testing"

	"github.com/fleetinglambda/flame/internal/codec"
	"github.com/fleetinglambda/flame/internal/lend"
)

// CanCross fails the test, with what cannot cross and the way out, if fn could not be sent to a runner with what it has
// captured, or its result could not come back. fn is a function such as [flame.Call] or [flame.Map] takes. It is not run.
func CanCross(t testing.TB, fn any) {
	t.Helper()
	if err := cross(t, fn); err != nil {
		t.Errorf("flametest: %v", err)
	}
}

func cross(t testing.TB, fn any) error {
	v := reflect.ValueOf(fn)
	if v.Kind() != reflect.Func || v.IsNil() {
		return errors.New("CanCross is for functions, and this is none or nil")
	}
	for i := range v.Type().NumOut() {
		if err := codec.CheckType(v.Type().Out(i)); err != nil && !isLast(v.Type(), i) {
			return err
		}
	}
	at := reflect.New(v.Type())
	at.Elem().Set(v)
	desk := lend.Desk{Context: t.Context(), Owner: nobody{}}
	defer desk.Close()
	_, err := codec.Encode(at.Interface(), codec.Options{Lender: &desk})
	return err
}

// isLast says whether it is the error that a function returns, which always comes back.
func isLast(t reflect.Type, i int) bool {
	return i == t.NumOut()-1 && t.Out(i) == reflect.TypeFor[error]()
}

// nobody owns a desk from which nothing is used.
type nobody struct{}

// Go is never asked for: nothing is logged without a runner.
func (nobody) Go(f func()) { f() }

// Dropped neither.
func (nobody) Dropped(int) {}

// Fail neither.
func (nobody) Fail(error) {}
