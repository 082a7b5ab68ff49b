package kubernetes

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestB11_RequestsAreMadeAgainWhileTheAPIServerIsAway(t *testing.T) {
	away := &url.Error{Op: "Post", URL: "https://api", Err: syscall.ECONNREFUSED}
	pods := schema.GroupResource{Resource: "pods"}
	for _, c := range []struct {
		err    error
		passes bool
	}{
		{away, true},
		{apierrors.NewTooManyRequests("slow down", 1), true},
		{apierrors.NewServiceUnavailable("starting"), true},
		{apierrors.NewForbidden(pods, "web-1", errors.New("exceeded quota")), false},
		{apierrors.NewNotFound(pods, "web-1"), false},
		{&url.Error{Op: "Post", URL: "https://api", Err: &net.DNSError{Name: "api", IsNotFound: true}}, false},
		{&url.Error{Op: "Post", URL: "https://api", Err: &tls.CertificateVerificationError{Err: errors.New("expired")}}, false},
		{&url.Error{Op: "Post", URL: "https://api", Err: context.Canceled}, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			err := again(t.Context(), func() error {
				if asked++; asked == 3 {
					return nil
				}
				return c.err
			})
			if c.passes != (asked == 3) || c.passes != (err == nil) {
				t.Errorf("%v: asked %d times, then %v", c.err, asked, err)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if err := again(t.Context(), func() error { return away }); !errors.Is(err, syscall.ECONNREFUSED) || time.Since(start) != outage {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("closed"))
		if err := again(ctx, func() error { return away }); err == nil || time.Since(start) != outage {
			t.Errorf("a context that has ended: %v", err)
		}
	})
}

func TestT11_AdviceIsGivenWhereRightsAreMissing(t *testing.T) {
	pods := schema.GroupResource{Resource: "pods"}
	for reason, advised := range map[string]bool{`User "web" cannot create resource "pods"`: true, "exceeded quota: few": false} {
		err := withAdvice(apierrors.NewForbidden(pods, "web-1", errors.New(reason)))
		if !apierrors.IsForbidden(err) || strings.Contains(err.Error(), "role.yaml") != advised {
			t.Error(err)
		}
	}
}
