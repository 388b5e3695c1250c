package app

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/parley-chat/parley/internal/config"
	"github.com/parley-chat/parley/internal/demo"
	"github.com/parley-chat/parley/internal/obs"
)

// Demo starts a server on a temporary database and plays the demo against it. It fails where somebody does not see what
// they should.
func Demo(ctx context.Context, out io.Writer) error {
	dir, err := os.MkdirTemp("", "parley-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	_, c, err := config.Parse([]string{"--data", dir, "--addr", "127.0.0.1:0"}, nil)
	if err != nil {
		return err
	}
	a, err := Start(ctx, c, obs.NewLogger(io.Discard, "error"))
	if err != nil {
		return err
	}
	defer a.Stop()
	fmt.Fprintf(out, "A server on %s, with three people at it.\n", a.URL())
	return demo.Run(ctx, a.URL(), out)
}
