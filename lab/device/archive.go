package device

import (
	"bytes"
	"fmt"
)

// Kinds of files in an archive.
const (
	modeFolder = 0o040000
	modeFile   = 0o100000
	modeLink   = 0o120000
)

// archived is a file of an archive: its content, or where a link points.
type archived struct {
	name string
	mode uint32
	data []byte
}

// writeArchive appends a cpio archive ("newc"), the format of an initrd. The kernel unpacks several of them, one after
// the other, each from a multiple of four bytes.
func writeArchive(to *bytes.Buffer, files []archived) {
	for i, f := range append(files, archived{name: "TRAILER!!!"}) {
		// magic, inode, mode, uid, gid, links, mtime, size, device (2), of device (2), length of the name, check sum
		fmt.Fprintf(to, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
			i+1, f.mode, 0, 0, 1, 0, len(f.data), 0, 0, 0, 0, len(f.name)+1, 0)
		to.WriteString(f.name + "\x00")
		fill(to)
		to.Write(f.data)
		fill(to)
	}
}

func fill(to *bytes.Buffer) {
	for to.Len()%4 != 0 {
		to.WriteByte(0)
	}
}
