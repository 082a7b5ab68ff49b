package bench

import (
	"context"
	"net"
	"net/rpc"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/fleetinglambda/flame/bench/frames"
)

// A remote is something in a second process that answers an empty call.
type remote func() error

// rawAlone is frames in lockstep: what the socket itself takes.
func rawAlone(tb testing.TB) remote {
	return frames.NewLockstep(boot(tb, "frames")).Call
}

// rawBlocking is the same past Go's poller: each end keeps a thread in read(2). Nothing in Go that
// also has other goroutines to serve can be faster.
func rawBlocking(tb testing.TB) remote {
	return frames.NewLockstep(bootBlocking(tb, "blocking")).Call
}

// rawShared is frames with ids on one connection.
func rawShared(tb testing.TB) remote {
	m := frames.NewMux(boot(tb, "frames"), 1024)
	tb.Cleanup(func() { m.Close() })
	return m.Call
}

// Empty is the service of net/rpc and its one method.
type Empty struct{}

// Call does nothing.
func (Empty) Call(struct{}, *struct{}) error { return nil }

func netRPC(tb testing.TB) remote {
	client := rpc.NewClient(boot(tb, "netrpc"))
	tb.Cleanup(func() { client.Close() })
	return func() error { return client.Call("Empty.Call", struct{}{}, &struct{}{}) }
}

func serveNetRPC(conn net.Conn) error {
	server := rpc.NewServer()
	if err := server.Register(Empty{}); err != nil {
		return err
	}
	server.ServeConn(conn)
	return nil
}

const grpcMethod = "/bench.Empty/Call"

func gRPC(tb testing.TB) remote {
	conn := boot(tb, "grpc")
	client, err := grpc.NewClient("passthrough:child",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return conn, nil }))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { client.Close() })
	in := new(emptypb.Empty)
	return func() error { return client.Invoke(context.Background(), grpcMethod, in, new(emptypb.Empty)) }
}

// serveGRPC serves without generated code, which would do the same. Workers that stay save it a new
// goroutine, and a growing stack, for every call.
func serveGRPC(conn net.Conn) error {
	server := grpc.NewServer(grpc.NumStreamWorkers(8))
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "bench.Empty",
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{
			MethodName: "Call",
			Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				in := new(emptypb.Empty)
				return in, decode(in)
			},
		}},
	}, struct{}{})
	return server.Serve(listenOne(conn))
}
