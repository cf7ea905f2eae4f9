#include "alsalib.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>

typedef void (*handler)(const char *file, int line, const char *function, int err, const char *format, ...);

// The first message of a failed call names the cause; those that follow only say what failed because of it.
static __thread char message[256];

static void keep(const char *file, int line, const char *function, int err, const char *format, ...)
{
	(void)file, (void)line, (void)function, (void)err;
	if (message[0])
		return;
	va_list args;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
}

static void *symbol(const char *name)
{
	void *lib = dlopen("libasound.so.2", RTLD_NOW); // the same handle each time, never closed
	return lib ? dlsym(lib, name) : NULL;
}

int alsa_listen(void)
{
	int (*set_handler)(handler) = (int (*)(handler))symbol("snd_lib_error_set_handler");
	return set_handler && set_handler(keep) == 0;
}

void alsa_forget(void)
{
	int (*forget)(void) = (int (*)(void))symbol("snd_config_update_free_global");
	if (forget)
		forget();
}

const char *alsa_message(void) { return message; }

void alsa_clear(void) { message[0] = 0; }
