package main

import "testing"

func TestReadingTheKernel(t *testing.T) {
	status := "Name:\tlinekeeper\nVmHWM:\t   20000 kB\nVmRSS:\t   18000 kB\n"
	if got, err := field(status, "VmRSS:", 1024); err != nil || got != 18000*1024 {
		t.Errorf("resident: %d, %v", got, err)
	}
	for _, bad := range []string{"", "VmRSS:\n", "VmRSS: many kB\n"} {
		if _, err := field(bad, "VmRSS:", 1024); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	mounts := "/dev/vda / ext4 rw 0 0\n/dev/loop3 /srv/disk ext4 rw,noatime 0 0\n"
	if got := deviceAt(mounts, "/srv/disk"); got != "loop3" {
		t.Errorf("device %q", got)
	}
	if got := deviceAt(mounts, "/srv"); got != "" {
		t.Errorf("device %q", got)
	}
}

func TestCut(t *testing.T) {
	if err := cut(t.TempDir()+"/x", make([]int16, 10), nil); err == nil {
		t.Error("no call is no error")
	}
	long := []found{{}}
	long[0].Manifest.Frames = 11
	if err := cut(t.TempDir()+"/x", make([]int16, 10), long); err == nil {
		t.Error("a call longer than the file is no error")
	}
	if got := repeat([]int16{1, 2, 3}, 5); len(got) != 5 || got[4] != 2 {
		t.Errorf("repeated: %v", got)
	}
}
