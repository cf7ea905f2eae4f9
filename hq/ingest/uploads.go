package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/tus/tusd/v2/pkg/handler"

	"github.com/linekeeper/linekeeper/call"
	"github.com/linekeeper/linekeeper/wire"
)

// uploads is the spool of uploads by tus: a folder in which each is one file, named {fileId}.{size}.{sha256}, so that it is
// there with all that was said of it or not at all. Size and hash are empty of a call in progress.
type uploads struct{ spool spool }

// spool is a folder of what is on its way. It has a folder for each first letter of call IDs, so that a call's files are
// found among few; a file's name begins with its file ID and a dot.
type spool string

// openSpool makes the folders that are missing.
func openSpool(dir string) (spool, error) {
	for _, letter := range "0123456789ABCDEFGHJKMNPQRSTVWXYZ" { // of IDs
		if err := os.MkdirAll(filepath.Join(dir, string(letter)), 0o700); err != nil {
			return "", fmt.Errorf("open spool: %w", err)
		}
	}
	return spool(dir), nil
}

// of is the folder of a call's files.
func (s spool) of(id call.ID) string { return filepath.Join(string(s), id.String()[:1]) }

// path is that of a file of an upload; what follows its ID begins with a dot.
func (s spool) path(file wire.FileID, suffix string) string {
	return filepath.Join(s.of(file.Call), file.String()+suffix)
}

// create makes or opens a file to write to.
func create(path string, flags int) (*os.File, error) {
	f, err := os.OpenFile(path, flags|os.O_CREATE|os.O_WRONLY, 0o600)
	return f, noRoom(err)
}

// names gives the names of a call's files that begin so.
func (s spool) names(id call.ID, begin string) (list []string, err error) {
	all, err := readNames(s.of(id))
	for _, name := range all {
		if strings.HasPrefix(name, begin) {
			list = append(list, name)
		}
	}
	return list, err
}

// all gives the paths of all files.
func (s spool) all() ([]string, error) { return filepath.Glob(filepath.Join(string(s), "*", "*")) }

// readNames reads a folder, in no order.
func readNames(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	names, err := f.Readdirnames(-1)
	return names, errors.Join(err, f.Close())
}

// fileIn gives the file ID that a name in the spool begins with.
func fileIn(name string) (wire.FileID, error) {
	id, _, _ := strings.Cut(filepath.Base(name), ".")
	return wire.ParseFileID(id)
}

// upload is one file of the spool. It implements handler.LengthDeclarableUpload.
type upload struct {
	spool spool
	file  wire.FileID
	size  int64  // declared; -1: not yet
	sha   string // declared; empty: not yet
	have  int64  // bytes that have arrived
}

func (u *upload) path() string {
	size := ""
	if u.size >= 0 {
		size = strconv.FormatInt(u.size, 10)
	}
	return u.spool.path(u.file, "."+size+"."+u.sha)
}

// whole says whether an upload has all its bytes. Of a call in progress nobody knows yet.
func (u *upload) whole() bool { return u.have == u.size }

// upload is an upload as tusd speaks of it.
func (s spool) upload(info handler.FileInfo) (*upload, error) {
	file, err := wire.ParseFileID(info.ID)
	u := &upload{spool: s, file: file, size: info.Size, sha: info.MetaData[wire.MetaSHA256], have: info.Offset}
	if info.SizeIsDeferred {
		u.size = -1
	}
	return u, err
}

// parseUpload reads the name of an upload's file.
func (s spool) parseUpload(name string) (*upload, error) {
	parts := strings.Split(name, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("%q is not {fileId}.{size}.{sha256}", name)
	}
	u := &upload{spool: s, size: -1, sha: parts[2]}
	var err error
	if parts[1] != "" {
		u.size, err = strconv.ParseInt(parts[1], 10, 64)
	}
	if err == nil {
		u.file, err = wire.ParseFileID(parts[0])
	}
	if err != nil {
		return nil, err
	}
	stat, err := os.Stat(u.path())
	if err != nil {
		return nil, err
	}
	u.have = stat.Size()
	return u, nil
}

// find gives an upload; handler.ErrNotFound: there is none.
func (s spool) find(file wire.FileID) (*upload, error) {
	names, err := s.names(file.Call, file.String()+".")
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, handler.ErrNotFound
	}
	u, err := s.parseUpload(names[0])
	if errors.Is(err, os.ErrNotExist) { // finished, or cleared away, meanwhile
		err = handler.ErrNotFound
	}
	return u, err
}

// NewUpload implements handler.DataStore.
func (s uploads) NewUpload(_ context.Context, info handler.FileInfo) (handler.Upload, error) {
	u, err := s.spool.upload(info)
	if err != nil {
		return nil, err
	}
	f, err := create(u.path(), os.O_EXCL)
	if err != nil {
		return nil, full(err)
	}
	return u, f.Close()
}

// GetUpload implements handler.DataStore.
func (s uploads) GetUpload(_ context.Context, id string) (handler.Upload, error) {
	file, err := wire.ParseFileID(id)
	if err != nil {
		return nil, handler.ErrNotFound
	}
	return s.spool.find(file)
}

// AsLengthDeclarableUpload implements handler.LengthDeferrerDataStore.
func (uploads) AsLengthDeclarableUpload(u handler.Upload) handler.LengthDeclarableUpload {
	return u.(*upload)
}

// GetInfo implements handler.Upload.
func (u *upload) GetInfo(context.Context) (handler.FileInfo, error) {
	return handler.FileInfo{
		ID: u.file.String(), Size: max(u.size, 0), SizeIsDeferred: u.size < 0, Offset: u.have,
		MetaData: handler.MetaData{wire.MetaCall: u.file.Call.String(), wire.MetaSHA256: u.sha},
	}, nil
}

// WriteChunk implements handler.Upload.
func (u *upload) WriteChunk(_ context.Context, _ int64, src io.Reader) (int64, error) {
	f, err := os.OpenFile(u.path(), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(f, src)
	u.have += n
	return n, full(errors.Join(err, f.Close()))
}

// GetReader implements handler.Upload.
func (u *upload) GetReader(context.Context) (io.ReadCloser, error) { return os.Open(u.path()) }

// FinishUpload implements handler.Upload: what is done at the end is done by tus.finished.
func (u *upload) FinishUpload(context.Context) error { return nil }

// DeclareLength implements handler.LengthDeclarableUpload.
func (u *upload) DeclareLength(_ context.Context, length int64) error {
	before := u.path()
	u.size = length
	return full(os.Rename(before, u.path()))
}
