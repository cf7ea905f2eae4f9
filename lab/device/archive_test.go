package device

import (
	"bytes"
	"fmt"
	"testing"
)

// TestArchive reads an archive back as the kernel does: header, name and content each from a multiple of four bytes.
func TestArchive(t *testing.T) {
	files := []archived{
		{"lab", modeFolder | 0o755, nil},
		{"lab/agent", modeFile | 0o755, []byte("program")},
		{"lab/link", modeLink | 0o777, []byte("../x")},
	}
	var archive bytes.Buffer
	writeArchive(&archive, files)
	all, at := archive.Bytes(), 0
	for _, want := range append(files, archived{name: "TRAILER!!!"}) {
		var field [13]uint32 // inode, mode, uid, gid, links, mtime, size, 4 of devices, length of the name, check sum
		head := string(all[at : at+110])
		for i := range field {
			if _, err := fmt.Sscanf(head[6+8*i:14+8*i], "%08x", &field[i]); err != nil {
				t.Fatalf("%q: %v", head, err)
			}
		}
		name := string(all[at+110 : at+110+int(field[11])-1])
		at = aligned(at + 110 + int(field[11]))
		data := all[at : at+int(field[6])]
		at = aligned(at + int(field[6]))
		if head[:6] != "070701" || name != want.name || field[1] != want.mode || !bytes.Equal(data, want.data) {
			t.Errorf("found %q %q, mode %o, %q; want %q, mode %o, %q", head[:6], name, field[1], data, want.name, want.mode, want.data)
		}
	}
	if at != len(all) {
		t.Errorf("%d bytes follow", len(all)-at)
	}
}

func aligned(at int) int { return (at + 3) / 4 * 4 }
