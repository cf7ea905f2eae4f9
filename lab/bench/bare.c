//go:build ignore

/*
 * The floor: reads PCM (signed 16 bits, one channel) and encodes it with libopus in packets of 20 ms, as the recorder's
 * encoder is set, and does nothing else. Prints how many frames it encoded and how many bytes came of it.
 *
 *   bare FILE RATE BITS COMPLEXITY
 */
#include <opus/opus.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	opus_int16 pcm[960];
	unsigned char packet[1275];
	long frames = 0, bytes = 0;
	int err = OPUS_BAD_ARG;
	if (argc != 5)
		return 2;
	FILE *f = fopen(argv[1], "rb");
	if (!f) {
		perror(argv[1]);
		return 1;
	}
	int rate = atoi(argv[2]), length = rate / 50;
	OpusEncoder *e = opus_encoder_create(rate, 1, OPUS_APPLICATION_VOIP, &err);
	if (err == OPUS_OK)
		err = opus_encoder_ctl(e, OPUS_SET_BITRATE(atoi(argv[3])));
	if (err == OPUS_OK)
		err = opus_encoder_ctl(e, OPUS_SET_COMPLEXITY(atoi(argv[4])));
	while (err == OPUS_OK && fread(pcm, sizeof(*pcm), length, f) == (size_t)length) {
		int n = opus_encode(e, pcm, length, packet, sizeof(packet));
		if (n < 0)
			err = n;
		frames += length;
		bytes += n;
	}
	if (err != OPUS_OK) {
		fprintf(stderr, "libopus: %s\n", opus_strerror(err));
		return 1;
	}
	printf("%ld %ld\n", frames, bytes);
	return 0;
}
