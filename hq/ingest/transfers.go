package ingest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/wire"
)

// transfers is the spool of file transfers over MQTT. Each has one file, {fileId}.log: what was received, one record
// after the other. A record is, little-endian: u32 CRC-32C of all that follows, u32 length of the body, u64 offset of the
// segment (initOffset: the body is the payload of init), body. What a power cut has torn is cut off.
type transfers struct {
	spool spool
	most  int64 // bytes of a call file
	busy  locks[wire.FileID]

	mu     sync.Mutex
	loaded map[wire.FileID]*transfer // what stands in the files; can be read again
}

const (
	logSuffix  = ".log"
	assembled  = ".lkc" // what is put together
	recordHead = 16
	initOffset = ^uint64(0)

	// maxLoaded bounds the transfers of which the segments are kept in memory.
	maxLoaded = 4096
)

// Errors of a transfer, as EMQX has them.
var (
	errIncomplete   = errors.New(wire.FileIncomplete)
	errMetaConflict = errors.New(wire.FileMetaConflict)
)

// castagnoli is the polynomial that processors have an instruction for.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// transfer is what has arrived of one file.
type transfer struct {
	init     []byte
	segments map[int64]extent // by offset in the call file
	size     int64            // of the log
}

// extent is where a segment's bytes stand in the log.
type extent struct{ at, length int64 }

func openTransfers(dir string, most int64) (*transfers, error) {
	s, err := openSpool(dir)
	if err != nil {
		return nil, err
	}
	// What was being put together when the program ended is put together again when it is asked for.
	paths, err := s.all()
	for _, path := range paths {
		if filepath.Ext(path) == assembled {
			err = errors.Join(err, remove(path))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	return &transfers{spool: s, most: most, loaded: map[wire.FileID]*transfer{}}, nil
}

func (t *transfers) path(file wire.FileID) string { return t.spool.path(file, logSuffix) }

// begin starts a transfer; the same init again changes nothing. Earlier attempts at the call are cleared away.
func (t *transfers) begin(file wire.FileID, payload []byte) error {
	defer t.busy.lock(file)()
	switch have, err := t.load(file); {
	case err == nil && bytes.Equal(have.init, payload):
		return nil
	case err == nil:
		return errMetaConflict
	case !errors.Is(err, errIncomplete):
		return err
	}
	earlier, err := t.spool.names(file.Call, string(file.Device)+"-"+file.Call.String()+"-")
	if err != nil {
		return err
	}
	for _, name := range earlier {
		if err := remove(filepath.Join(t.spool.of(file.Call), name)); err != nil {
			return err
		}
		t.forget(name)
	}
	fresh := &transfer{init: bytes.Clone(payload), segments: map[int64]extent{}}
	if err := t.append(file, fresh, initOffset, payload); err != nil {
		return err
	}
	t.keep(file, fresh)
	return nil
}

// tooLarge says why a call is refused that has more bytes than are taken.
func tooLarge(most int64) string {
	return fmt.Sprintf("the call file has more than the %d bytes that headquarters takes (largest_call)", most)
}

// segment takes a part of a file; the same part again changes nothing.
func (t *transfers) segment(file wire.FileID, offset int64, data []byte) error {
	defer t.busy.lock(file)()
	have, err := t.load(file)
	if err != nil {
		return err
	}
	switch {
	case len(data) == 0:
		return fmt.Errorf("%w: an empty segment", hq.ErrRefused)
	case offset > t.most || offset+int64(len(data)) > t.most:
		return fmt.Errorf("%w: %s", hq.ErrRefused, tooLarge(t.most))
	case int64(len(have.segments)) > t.most/wire.SegmentSize || have.size > 2*t.most+wire.SegmentSize:
		return fmt.Errorf("%w: too many segments", hq.ErrRefused)
	}
	if there, ok := have.segments[offset]; ok {
		same, err := t.holds(file, there, data)
		if err != nil || same {
			return err
		}
	}
	return t.append(file, have, uint64(offset), data)
}

// have is what has arrived of a file: offsets and sizes, in order, those that adjoin as one. None: nothing, or nothing is
// known.
func (t *transfers) have(file wire.FileID) (all [][2]int64) {
	defer t.busy.lock(file)()
	there, err := t.load(file)
	if err != nil {
		return nil // it is sent again
	}
	for _, offset := range slices.Sorted(maps.Keys(there.segments)) {
		length := there.segments[offset].length
		if last := len(all) - 1; last >= 0 && all[last][0]+all[last][1] == offset {
			all[last][1] += length
		} else {
			all = append(all, [2]int64{offset, length})
		}
	}
	return all
}

// holds says whether a segment's bytes in the log are data.
func (t *transfers) holds(file wire.FileID, e extent, data []byte) (bool, error) {
	if e.length != int64(len(data)) {
		return false, nil
	}
	f, err := os.Open(t.path(file))
	if err != nil {
		return false, err
	}
	defer f.Close()
	b := make([]byte, e.length)
	if _, err := f.ReadAt(b, e.at); err != nil {
		return false, err
	}
	return bytes.Equal(b, data), nil
}

// append writes a record to a transfer's log and notes it. The log's end is where the last whole record ends, whatever a
// failed write has left there. Nothing is synced: what a power cut takes is found missing at fin, and sent again.
func (t *transfers) append(file wire.FileID, to *transfer, offset uint64, body []byte) (err error) {
	f, err := create(t.path(file), 0)
	if err != nil {
		return err
	}
	record := make([]byte, recordHead, recordHead+len(body))
	binary.LittleEndian.PutUint32(record[4:], uint32(len(body)))
	binary.LittleEndian.PutUint64(record[8:], offset)
	record = append(record, body...)
	binary.LittleEndian.PutUint32(record, crc32.Checksum(record[4:], castagnoli))
	_, err = f.WriteAt(record, to.size)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("spool %s: %w", file, noRoom(err))
	}
	to.note(offset, int64(len(body)))
	return nil
}

// note enters the record at the end of the log.
func (t *transfer) note(offset uint64, length int64) {
	if offset != initOffset {
		t.segments[int64(offset)] = extent{at: t.size + recordHead, length: length}
	}
	t.size += recordHead + length
}

// load gives what has arrived of a file; errIncomplete: nothing is known of it.
func (t *transfers) load(file wire.FileID) (*transfer, error) {
	t.mu.Lock()
	have := t.loaded[file]
	t.mu.Unlock()
	if have != nil {
		return have, nil
	}
	f, err := os.Open(t.path(file))
	if errors.Is(err, os.ErrNotExist) {
		return nil, errIncomplete
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	have, err = readLog(f, t.most)
	if err != nil {
		return nil, fmt.Errorf("read spool of %s: %w", file, err)
	}
	if have == nil {
		return nil, errIncomplete
	}
	t.keep(file, have)
	return have, nil
}

// readLog reads a log up to its end or the first record that is not whole. Nil: not even its init is.
func readLog(r io.Reader, most int64) (*transfer, error) {
	t := &transfer{segments: map[int64]extent{}}
	var head [recordHead]byte
	var body bytes.Buffer
	for {
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return t.read(err)
		}
		length, offset := int64(binary.LittleEndian.Uint32(head[4:])), binary.LittleEndian.Uint64(head[8:])
		if length == 0 || length > most || offset != initOffset && offset > uint64(most) || (offset == initOffset) != (t.size == 0) {
			return t.read(nil)
		}
		body.Reset()
		if _, err := io.CopyN(&body, r, length); err != nil {
			return t.read(err)
		}
		sum := crc32.Update(crc32.Checksum(head[4:], castagnoli), castagnoli, body.Bytes())
		if sum != binary.LittleEndian.Uint32(head[:]) {
			return t.read(nil)
		}
		if offset == initOffset {
			t.init = bytes.Clone(body.Bytes())
		}
		t.note(offset, length)
	}
}

// read is the result of reading a log to where err came.
func (t *transfer) read(err error) (*transfer, error) {
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	if t.size == 0 {
		return nil, nil
	}
	return t, nil
}

func (t *transfers) keep(file wire.FileID, have *transfer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for other := range t.loaded {
		if len(t.loaded) < maxLoaded {
			break
		}
		delete(t.loaded, other)
	}
	t.loaded[file] = have
}

// forget drops what is remembered of the transfer that a file of the spool belongs to.
func (t *transfers) forget(name string) {
	file, err := fileIn(name)
	if err != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.loaded, file)
}

// assemble puts a file of the given size together and gives its path; errIncomplete where segments are missing. Only
// segments that adjoin each other count: overlaps fill no gaps. Room says whether the disk has room for it.
func (t *transfers) assemble(file wire.FileID, size int64, room func(int64) error) (path string, err error) {
	defer t.busy.lock(file)()
	have, err := t.load(file)
	if err != nil {
		return "", err
	}
	var parts []extent
	for at := int64(0); at < size; at += parts[len(parts)-1].length {
		e, ok := have.segments[at]
		if !ok || at+e.length > size {
			return "", errIncomplete
		}
		parts = append(parts, e)
	}
	if err := room(size); err != nil {
		return "", err
	}
	log, err := os.Open(t.path(file))
	if err != nil {
		return "", err
	}
	defer log.Close()
	path = t.spool.path(file, assembled)
	out, err := create(path, os.O_TRUNC)
	if err != nil {
		return "", err
	}
	for _, e := range parts {
		if _, err = io.Copy(out, io.NewSectionReader(log, e.at, e.length)); err != nil {
			break
		}
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return "", errors.Join(fmt.Errorf("put %s together: %w", file, noRoom(err)), remove(path))
	}
	return path, nil
}

// discard forgets a transfer.
func (t *transfers) discard(file wire.FileID) error {
	defer t.busy.lock(file)()
	t.forget(file.String())
	return remove(t.path(file))
}
