package app

import (
	"context"
	"io"
)

// Demo is set below.
func Demo(context.Context, io.Writer) error { return nil }
