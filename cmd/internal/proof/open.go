package proof

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/cmd/internal/command"
	"github.com/linekeeper/linekeeper/seal"
)

// OpenCommand is `open`.
func OpenCommand() *cobra.Command {
	var keys, out string
	cmd := &cobra.Command{
		Use:   "open --key FILE [-o OUT] CALL.lkc",
		Short: "Make a file of a call that can be played",
		Long: `Opens a call file with the secret key that it was sealed to, and writes its audio as it was encoded: Ogg Opus, MP3 or
FLAC. A call that is damaged or has arrived in part is opened as far as it goes: what was passed over is said. Whether the
call is what was recorded is for ` + "`verify`" + ` to say.

OUT is otherwise CALL.opus, CALL.mp3 or CALL.flac beside the call file. A file that is there is never overwritten. A call
that was recorded in clear needs no key.`,
		Args: command.Exactly(1, "one call file (.lkc)"),
		RunE: func(cmd *cobra.Command, args []string) error {
			secret, err := readKeys(keys)
			if err != nil {
				return err
			}
			o, err := openCall(args[0], out, secret)
			if err != nil {
				return err
			}
			o.print(cmd.OutOrStdout())
			return nil
		},
	}
	cmd.Flags().StringVar(&keys, "key", "", "file with the secret key (AGE-SECRET-KEY-1...)")
	cmd.Flags().StringVarP(&out, "out", "o", "", "file to write, which must not exist yet")
	return cmd
}

// opened is a call that was opened.
type opened struct {
	out    string
	header call.Header
	found  seal.Found
	bytes  int64
	head   []byte // what the media begins with
}

func openCall(path, out string, keys seal.Keys) (o opened, err error) {
	in, err := os.Open(path)
	if err != nil {
		return o, fmt.Errorf("open call: %w", err)
	}
	defer in.Close()
	header, media, err := seal.Salvage(in, keys)
	var noKey *seal.NoKeyError
	if errors.As(err, &noKey) && len(keys) == 0 {
		return o, command.Usage("%s is sealed: give the file with its secret key with --key", path)
	}
	if err != nil {
		return o, fmt.Errorf("open call %s: %w", path, err)
	}
	if out == "" {
		out = strings.TrimSuffix(path, filepath.Ext(path)) + extension(header.Codec)
	}
	o = opened{out: out, header: header}
	file, err := os.OpenFile(out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return o, fmt.Errorf("open call %s: %s is there already, and is not overwritten: name another file with -o", path, out)
	}
	if err != nil {
		return o, fmt.Errorf("open call %s: %w", path, err)
	}
	begin := &beginning{}
	o.bytes, err = io.Copy(io.MultiWriter(file, begin), media)
	if err = errors.Join(err, file.Close()); err != nil {
		return o, errors.Join(fmt.Errorf("open call %s: %w", path, err), os.Remove(out))
	}
	o.found, o.head = media.Found(), begin.kept
	return o, nil
}

// extension is that of a codec's files. The header is anybody's word, and must not name a path.
func extension(c call.Codec) string {
	switch c {
	case call.Opus, call.MP3, call.FLAC:
		return "." + string(c)
	}
	return ".media"
}

// beginning keeps the first bytes that are written.
type beginning struct{ kept []byte }

func (b *beginning) Write(p []byte) (int, error) {
	b.kept = append(b.kept, p[:min(len(p), 8-min(len(b.kept), 8))]...)
	return len(p), nil
}

// print says what was opened, and what was passed over.
func (o opened) print(w io.Writer) {
	h, rate := o.header, max(o.header.Rate, 1)
	seconds := func(frames int64) float64 { return float64(frames) / float64(rate) }
	fmt.Fprintf(w, "%s: %.1f s of call %s, line %q of recorder %s, %s (clock: %s)\n", o.out, seconds(o.found.Frames), h.Call, h.Line,
		h.Device, h.Anchor.Wall.Format("2006-01-02 15:04:05 MST"), h.Anchor.Grade)
	for _, l := range o.found.Lost {
		fmt.Fprintf(w, "passed over: %d bytes at byte %d", l.Size, l.Offset)
		if l.Records > 0 {
			fmt.Fprintf(w, ", %d records from %d", l.Records, l.Record)
		}
		if l.Frames > 0 {
			fmt.Fprintf(w, ", %.1f s of audio", seconds(l.Frames))
		}
		fmt.Fprintf(w, " (%s)\n", l.Reason)
	}
	switch {
	case o.found.End == nil:
		fmt.Fprintln(w, "the file stops before the end of the call: it went on, was cut short, or has not arrived as a whole")
	case o.found.End.Recovered:
		fmt.Fprintln(w, "the recorder was cut short during the call: it ends with what was stored")
	}
	if !o.playable() {
		fmt.Fprintln(w, "the beginning of the audio is missing, with what players need to know of it: most will refuse the file")
	}
}

// playable says whether the media begins as a stream does.
func (o opened) playable() bool {
	switch o.header.Codec {
	case call.Opus: // the first page of a logical stream: RFC 3533, section 6
		return bytes.HasPrefix(o.head, []byte("OggS")) && len(o.head) > 5 && o.head[5]&2 != 0
	case call.FLAC:
		return bytes.HasPrefix(o.head, []byte("fLaC"))
	}
	return len(o.head) > 0
}
