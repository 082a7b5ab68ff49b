// Package flame runs a function literal, with the variables it captured, in another process: on a runner, a
// fleeting copy of the same program that is booted when it is needed, shared by a bounded number of calls,
// and gone when it is idle.
//
//	func main() {
//		flame.ServeIfRunner() // on a runner this serves and does not return
//
//		pool, err := flame.Open(ctx, flame.Config{Max: 4})
//		…
//		defer pool.Close()
//
//		sum, err := flame.Call(ctx, pool, func(ctx context.Context) (string, error) {
//			data, err := os.ReadFile(path) // path has come along
//			return fmt.Sprintf("%x", sha256.Sum256(data)), err
//		})
//	}
//
// Nothing is registered and nothing is generated: parent and runner are the same executable, which proves it to
// each other by its build id before anything is sent, so code is named by where it lies and
// what a closure captured is read by the layout that the compiler gave it.
//
// # What comes along
//
// The captured variables come along as copies: numbers, strings, slices, maps, structs with their unexported fields,
// pointers with everything behind them (what is shared stays shared, cycles stay cycles), interfaces, errors,
// times, other functions, method values. What the function assigns to them stays on the runner: return what is to come
// back. Until [Call] or [Run] returns, nothing else may write to what is captured; [Start] and [Cast] copy
// it before they return.
//
// Package-level variables do not come along: on the runner they hold what its own main put there. main runs on the
// runner too, with the same arguments, environment and working directory, up to [ServeIfRunner].
//
// # What stays and is used from there
//
// Some things stay where they are, and on the runner something stands in for them. The type of the variable decides.
//
//   - A [context.Context] ends on the runner when it ends here, with its cause, and keeps its deadline; its values stay here.
//     The very ctx given to [Call] is, where the function has captured it, the context that the function is given.
//   - What is logged with a captured [*log/slog.Logger] or [*log.Logger] is logged here, with the attributes, groups and place
//     that it would have here. Records of a [*log/slog.Logger] are marked besides, behind their own attributes, with pool, runner and
//     call; where the items of a [Map] share it, with call only if their context was given along. Lines of a [*log.Logger] are not, as their form is the program's. Call returns
//     when all is logged. When more is logged than the logger takes, records are dropped and counted.
//   - An [io.Reader], [io.Writer], [io.Seeker], [io.ReaderAt], [io.WriterAt], [io.Closer], or an interface with any of their
//     methods and no others, such as [mime/multipart.File], is used here while the function uses what stands in there.
//   - A chan<- T or <-chan T is a channel of the same capacity there; see below. A chan T is refused: it goes one way.
//   - An *http.Request comes along with its Body as such a reader and its context as such a context; its TLS state stays.
//     An *http.Response does, too, without its TLS state and its Request.
//
// What stands in for a reader or writer has the methods of the variable's type and no more. It is read at most 256 KiB ahead, from
// the function's first Read on. A Write returns before it is done, with at most 256 KiB on the way; its error comes from a
// later Write, Seek or Close, or else is the call's: Call returns when all is written. Errors, and what Close returns, are the
// original's. What can seek is, after the call, just behind what the function has read or written; what cannot may
// have been read further. When the call ends, what stands in fails, and here a Read or Write that still waits is abandoned: by a
// deadline where there are any, or else when it returns. A call with [Retry] takes none of these, as
// nothing can be read twice.
//
// Where the compiler has seen what was assigned to a variable, it calls the methods of that type, and a stand-in
// for a reader or writer panics there: with var r io.Reader = file the function's own r.Read calls *os.File. A
// field keeps the compiler from knowing: in := struct{ io.Reader }{file}. A request's Body is a field.
//
// What a function sends to a chan<- arrives in order. If nobody receives, it blocks when this channel is full, its own is, and one
// element is between them. The function's close closes this channel behind what it has sent; the call's end closes nothing, and
// comes after all that was sent has been taken, so the caller may close the channel then. Sending where it is closed
// ends the call with an error. From a <-chan at most capacity and one elements are taken ahead, and lost with the call's end: give each
// call its own. An element has at most [Config].MessageLimit bytes, and about 1 MiB of them, or one that is larger,
// is between the two channels at a time, either way. When the call is over or cancelled, what is sent
// there is dropped, and a <-chan is closed there. With [Retry] elements may be sent again, and a <-chan is refused.
//
// # What is left there
//
// A result may hold an [io.ReadCloser], or another interface of package io with a Close: it stays on the runner and is used from here, as in
//
//	body, err := flame.Call(ctx, pool, func(context.Context) (io.ReadCloser, error) { return os.Open(name) })
//
// The Body of an *http.Response in a result is another. It holds its runner and its slot until it is closed, or ctx ends; the call's
// timeout is over when the function has returned. If the runner is lost, Read fails with a [RunnerLostError], never with io.EOF. What the program loses without closing it is closed,
// with one warning that names the function. [Stats].Held says how many slots are held so.
//
// # What comes back by itself
//
// What a function prints, and what it logs with package slog, goes to [Config].Logger: a record for each line, marked with pool and runner,
// and with the call where it was logged with the call's context, with [PerCall], or where a runner has one call at a
// time. Nothing waits for the logger; what it is too slow for is dropped and counted.
//
// Of the context of a call, its end, its cause and its deadline cross. Values do not, but for those that [Config].Propagate takes
// along, such as the trace that the call is part of.
//
// # What cannot come along
//
// What belongs to one process is refused, with a [SendError] that names the way to it and the way out: mutexes and what
// holds them, an *os.File that is not held as a reader or writer, connections, timers. Whether a value can cross depends on its
// type, not on the moment, so the first test that runs a call finds it.
//
// Programs inject their dependencies: a handler's closure captures a *Server that holds a database, a logger, a
// cache. Every process has its own of these, made by the same main; [PerProcess] says so, and a captured pointer to it, or
// into it, then means the runner's own.
//
//	server := NewServer(db, logger)
//	flame.PerProcess("server", server)
//	flame.ServeIfRunner()
//
// # Promises
//
//   - A call has exactly one outcome, by its deadline. One deadline covers waiting, booting and running.
//   - A function starts at most once. A call that certainly did not start is moved to another runner; one that
//     may have started gets a [RunnerLostError]. [Ran] says which errors mean that the function ran.
//   - A runner that dies takes only its own calls along.
//   - A slot is held until its function is really over: a runner never has more than MaxConcurrency, the pool
//     never more than Max runners. A function that ignores that its context has ended is given [Config].KillGrace; then its
//     process is killed: with [PerCall] its own, with [Shared] that of all calls on its runner, when they had time to finish.
//   - A runner that dies in silence, or cannot be reached any more, is lost within 15 s. One that dials its parent is not lost with a
//     connection: for [Config].ResumeWindow it can dial again, its calls go on, and what they return arrives once.
//   - Runners do not outlive their parent, whatever becomes of it, by more than these 15 s, except to finish what was started with
//     [Detach].
//   - Values are copied exactly or refused, never guessed. On a Go release or platform whose closures are not
//     understood, all are refused.
//
// Closures cross on linux/amd64 and linux/arm64 so far; elsewhere, and in a program built with -linkshared, -asan, -msan or as a
// plugin, [Open] says so.
package flame
