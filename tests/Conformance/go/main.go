// Checks a log directory with another implementation: golang.org/x/mod/sumdb's note and tlog packages.
// Usage: main DIRECTORY VKEY. Prints "ok SIZE" or fails.
package main

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type directory string

func (d directory) Height() int                                  { return 8 }
func (d directory) SaveTiles(tiles []tlog.Tile, data [][]byte) {}

// The package writes tile/<height>/<level>/…; tlog-tiles leaves the height out.
func (d directory) path(t tlog.Tile) string {
	return filepath.Join(string(d), "tile", strings.TrimPrefix(t.Path(), "tile/8/"))
}

func (d directory) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, t := range tiles {
		data, err := os.ReadFile(d.path(t))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	dir := directory(os.Args[1])
	verifier, err := note.NewVerifier(os.Args[2])
	must(err)
	message, err := os.ReadFile(filepath.Join(string(dir), "checkpoint"))
	must(err)
	signed, err := note.Open(message, note.VerifierList(verifier))
	must(err)
	lines := strings.Split(signed.Text, "\n")
	if lines[0] != verifier.Name() {
		log.Fatalf("origin %q", lines[0])
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	must(err)
	root, err := base64.StdEncoding.DecodeString(lines[2])
	must(err)
	tree := tlog.Tree{N: size}
	copy(tree.Hash[:], root)
	reader := tlog.TileHashReader(tree, dir)

	for index := int64(0); index < size; {
		width := int64(256)
		if size-index < width {
			width = size - index
		}
		bundle := tlog.Tile{H: 8, L: 0, N: index / 256, W: int(width)}
		path := strings.Replace(dir.path(bundle), "/tile/0/", "/tile/entries/", 1)
		data, err := os.ReadFile(path)
		must(err)
		for i := int64(0); i < width; i++ {
			length := binary.BigEndian.Uint16(data)
			entry := data[2 : 2+int(length)]
			data = data[2+int(length):]
			proof, err := tlog.ProveRecord(size, index, reader)
			must(err)
			must(tlog.CheckRecord(proof, size, tree.Hash, index, tlog.RecordHash(entry)))
			index++
		}
		if len(data) != 0 {
			log.Fatalf("%s: %d bytes too many", path, len(data))
		}
	}
	fmt.Printf("ok %d\n", size)
}
