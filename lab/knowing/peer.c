//go:build ignore

/*
 * spandsp's receivers, on raw samples (16 bits, 8000 a second) from standard input:
 *
 *   peer digits       prints each digit
 *   peer bell | v23   prints each caller ID message, in hex
 */
#include <spandsp.h>
#include <stdio.h>
#include <string.h>

static void message(void *user, const uint8_t *msg, int len)
{
	(void)user;
	for (int i = 0; i < len; i++)
		printf("%02x", msg[i]);
	printf("\n");
}

int main(int argc, char **argv)
{
	int16_t pcm[160];
	size_t n;
	if (argc != 2)
		return 2;
	if (strcmp(argv[1], "digits") == 0) {
		dtmf_rx_state_t *s = dtmf_rx_init(NULL, NULL, NULL);
		char digits[129];
		while (s && (n = fread(pcm, 2, 160, stdin)) > 0) {
			dtmf_rx(s, pcm, (int)n);
			if (dtmf_rx_get(s, digits, 128) > 0)
				printf("%s\n", digits);
		}
		return s == NULL;
	}
	adsi_rx_state_t *s = adsi_rx_init(NULL, strcmp(argv[1], "bell") == 0 ? ADSI_STANDARD_CLASS : ADSI_STANDARD_CLIP, message, NULL);
	while (s && (n = fread(pcm, 2, 160, stdin)) > 0)
		adsi_rx(s, pcm, (int)n);
	return s == NULL;
}
