// Command pack packs the built GraphiQL into the archive that the server embeds, in a fixed order and with fixed times.
// With -check it compares the two instead, file by file, and exits with 1 when the archive is out of date.
//
//	pack [-check] folder archive
package main

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

func main() {
	check := flag.Bool("check", false, "compare instead of packing")
	flag.Parse()
	if flag.NArg() != 2 {
		fmt.Fprintln(os.Stderr, "pack [-check] folder archive")
		os.Exit(2)
	}
	run := pack
	if *check {
		run = compare
	}
	if err := run(os.DirFS(flag.Arg(0)), flag.Arg(1)); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

func pack(folder fs.FS, archive string) error {
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestCompression) })
	err := each(folder, func(name string, content []byte) error {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate, Modified: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)})
		if err != nil {
			return err
		}
		_, err = w.Write(content)
		return err
	})
	if err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(archive, out.Bytes(), 0o644) //nolint:gosec // everybody may read it
}

func compare(folder fs.FS, archive string) error {
	z, err := zip.OpenReader(archive)
	if err != nil {
		return err
	}
	defer func() { _ = z.Close() }()
	built := 0
	err = each(folder, func(name string, content []byte) error {
		built++
		packed, err := fs.ReadFile(z, name)
		if err != nil || !bytes.Equal(packed, content) {
			return fmt.Errorf("%s is not up to date in %s: run make graphiql and commit it", name, archive)
		}
		return nil
	})
	if err == nil && built != len(z.File) {
		err = fmt.Errorf("%s has %d files and the build %d: run make graphiql and commit it", archive, len(z.File), built)
	}
	return err
}

func each(folder fs.FS, f func(name string, content []byte) error) error {
	return fs.WalkDir(folder, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := fs.ReadFile(folder, name)
		if err != nil {
			return err
		}
		return f(name, content)
	})
}
