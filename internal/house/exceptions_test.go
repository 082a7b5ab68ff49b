package house

// exceptions are the files in which a rule may be broken, each with its reason.
var exceptions = []exception{
	{"no mutable globals", "internal/image/image.go", "one word that every run of the program finds alike, taken from a value once"},
	{"no bare go", "e2e/closures/shapes.go", "a closure made by a go statement is one of the shapes; its maker is waited for"},
	{"no bare go", "e2e/closures/made/closures.go", "a closure made by a go statement is one of the shapes; its maker is waited for"},
	{"no mutable globals", "runner.go", "that a process serves is a fact about the process, not about one of its pools"},
	{"no mutable globals", "internal/session/socket_linux.go", "that a goroutine holds a processor while it waits in the kernel concerns the whole process"},
}
