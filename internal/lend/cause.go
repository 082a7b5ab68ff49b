package lend

// PackCause makes bytes of why a call has ended: of an error that cannot cross, its text. They are bounded.
func PackCause(cause error) []byte { return packError(cause) }

// ReadCause is the inverse of PackCause, for bytes of the parent. Of what cannot be read it is the reason why not.
func ReadCause(why []byte) error { return unpackError(why) }
