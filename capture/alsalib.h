// What of libasound is used directly, beside miniaudio: its error messages, which it would print, and its cached
// configuration, which has to be read again before a card that was plugged in later is known by all its names.
//
// The library is opened at run time, as miniaudio opens it, so that the program also starts where it is missing.

// alsa_listen keeps libasound's error messages off standard error. It returns 0 if libasound is not there.
int alsa_listen(void);

// alsa_forget drops the cached configuration.
void alsa_forget(void);

// alsa_message is the first error message of the calling thread since the last alsa_clear; "" if there was none.
const char *alsa_message(void);
void alsa_clear(void);
