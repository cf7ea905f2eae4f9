// Shifts the wall clock of the program that it is preloaded into. Go programs do not ask libc for the time (so libfaketime
// does not reach them) but the kernel's vDSO, which the auxiliary vector points to: it is made to point to an image built
// here, whose one function adds the offset that stands, as 64 bits of nanoseconds, in the file SHIFTED_CLOCK. Whether
// somebody synchronises the machine's clock the kernel does not tell it.
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#if defined(__aarch64__)
#define NAME "__kernel_clock_gettime"
#else
#define NAME "__vdso_clock_gettime"
#endif

static const volatile int64_t *offset;

static int shifted(clockid_t clock, struct timespec *t) {
	int err = clock_gettime(clock, t); // libc has found the true vDSO long before
	if (err == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
		int64_t s = *offset / 1000000000, n = t->tv_nsec + *offset % 1000000000;
		t->tv_sec += s + (n >= 1000000000) - (n < 0);
		t->tv_nsec = n - (n >= 1000000000) * 1000000000LL + (n < 0) * 1000000000LL;
	}
	return err;
}

static struct {
	ElfW(Ehdr) head;
	ElfW(Phdr) segments[2];
	ElfW(Dyn) dynamic[5];
	ElfW(Verdef) version; // says that there are none; Go reads it without asking
	ElfW(Sym) symbols[2];
	uint32_t hash[5]; // one bucket, chain of two
	char names[sizeof NAME + 1];
} image;

static void build(void) {
	ElfW(Addr) base = (ElfW(Addr))&image;
	image.head.e_phoff = (char *)image.segments - (char *)&image;
	image.head.e_phnum = 2;
	// Loaded at its own address: what the tables below say is where it is.
	image.segments[0] = (ElfW(Phdr)){.p_type = PT_LOAD, .p_offset = 0, .p_vaddr = base};
	image.segments[1] = (ElfW(Phdr)){.p_type = PT_DYNAMIC, .p_offset = (char *)image.dynamic - (char *)&image};
	image.dynamic[0] = (ElfW(Dyn)){.d_tag = DT_STRTAB, .d_un.d_ptr = (ElfW(Addr))image.names};
	image.dynamic[1] = (ElfW(Dyn)){.d_tag = DT_SYMTAB, .d_un.d_ptr = (ElfW(Addr))image.symbols};
	image.dynamic[2] = (ElfW(Dyn)){.d_tag = DT_HASH, .d_un.d_ptr = (ElfW(Addr))image.hash};
	image.dynamic[3] = (ElfW(Dyn)){.d_tag = DT_VERDEF, .d_un.d_ptr = (ElfW(Addr))&image.version};
	image.version.vd_flags = VER_FLG_BASE;
	memcpy(image.names + 1, NAME, sizeof NAME);
	image.symbols[1].st_name = 1;
	image.symbols[1].st_info = (STB_GLOBAL << 4) | STT_FUNC;
	image.symbols[1].st_shndx = 1;
	image.symbols[1].st_value = (ElfW(Addr))shifted;
	image.hash[0] = 1, image.hash[1] = 2, image.hash[2] = 1;
}

static int unsynchronised(void) {
	static struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_adjtimex, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clock_adjtime, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {sizeof code / sizeof *code, code};
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

__attribute__((constructor)) static void replace(int argc, char **argv, char **envp) {
	const char *file = getenv("SHIFTED_CLOCK");
	int f = file ? open(file, O_RDONLY | O_CLOEXEC) : -1;
	void *at = f < 0 ? MAP_FAILED : mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, f, 0);
	if (f >= 0)
		close(f);
	if (at == MAP_FAILED || !unsynchronised())
		return;
	offset = at;
	build();
	while (*envp)
		envp++;
	for (ElfW(auxv_t) *a = (void *)(envp + 1); a->a_type != AT_NULL; a++)
		if (a->a_type == AT_SYSINFO_EHDR)
			a->a_un.a_val = (uintptr_t)&image;
	(void)argc, (void)argv;
}
