package image

import (
	"fmt"
	"runtime"
)

func unsupported() error {
	return fmt.Errorf("closures cross on linux/amd64 and linux/arm64 only so far, this is %s/%s", runtime.GOOS, runtime.GOARCH)
}
