package capture

import "github.com/linekeeper/linekeeper/pcm"

func pcmFormat(rate, channels int) pcm.Format { return pcm.Format{Rate: rate, Channels: channels} }
