package phone

import (
	"errors"
	"math"
	"math/cmplx"
)

// Comparison is how near decoded audio is to what was played.
type Comparison struct {
	Offset      int     // in the reference, of the first decoded sample
	Correlation float64 // there, from 0 to 1; below 0.5 it is other audio
	Exact       bool    // every sample is the same

	Gain         float64 // what the decoded audio has to be multiplied with to be like the reference
	SNR          float64 // dB, after that gain, over all that is compared
	SegmentalSNR float64 // dB, mean over the 20 ms frames in which the reference is heard, each from -10 to 40
	Spectral     float64 // dB, log-spectral distance over the same frames: what a codec that keeps no waveform is judged by
}

// Compare finds decoded audio in a reference of the same rate, one channel each, and says how near it is. The first
// decoded sample is looked for from frame from up to frame to of the reference; from may be below 0, and what lies
// outside the reference counts as silence and is not judged.
func Compare(reference, decoded []int16, rate, from, to int) (Comparison, error) {
	if len(decoded) == 0 || len(reference) == 0 || to < from {
		return Comparison{}, errors.New("compare audio: nothing to compare")
	}
	var c Comparison
	c.Offset, c.Correlation = find(reference, decoded, from, to)
	begin, end := max(0, c.Offset), min(len(reference), c.Offset+len(decoded))
	if end <= begin {
		return c, errors.New("compare audio: the two do not overlap")
	}
	ref := toFloat(reference[begin:end])
	dec := toFloat(decoded[begin-c.Offset : end-c.Offset])
	c.Exact = begin == c.Offset && end == c.Offset+len(decoded)
	for i := begin; i < end && c.Exact; i++ {
		c.Exact = reference[i] == decoded[i-c.Offset]
	}
	c.Gain = dot(ref, dec) / max(dot(dec, dec), 1e-30)
	for i := range dec {
		dec[i] *= c.Gain
	}
	c.SNR = ratio(ref, dec)
	c.SegmentalSNR, c.Spectral = segments(ref, dec, rate)
	return c, nil
}

// find is where the normalised cross-correlation is greatest.
func find(reference, decoded []int16, from, to int) (offset int, correlation float64) {
	// window is the reference from frame from on, as long as any of the offsets reaches.
	window := make([]float64, to-from+len(decoded))
	for i := range window {
		if at := from + i; at >= 0 && at < len(reference) {
			window[i] = float64(reference[at])
		}
	}
	clip := make([]float64, len(decoded))
	clipEnergy := 0.0
	for i, s := range decoded {
		clip[i] = float64(s)
		clipEnergy += clip[i] * clip[i]
	}
	products := correlate(window, clip)
	energy := dot(window[:len(clip)], window[:len(clip)])
	for i := 0; i <= to-from; i++ {
		if both := math.Sqrt(energy * clipEnergy); both > 0 && products[i]/both > correlation {
			offset, correlation = from+i, products[i]/both
		}
		if i < to-from {
			energy = max(0, energy-window[i]*window[i]+window[i+len(clip)]*window[i+len(clip)])
		}
	}
	return offset, correlation
}

// correlate is, for each i, the sum of window[i+k]*clip[k]; right where i+len(clip) is at most len(window).
func correlate(window, clip []float64) []float64 {
	n := 1
	for n < len(window) {
		n *= 2
	}
	a, b := make([]complex128, n), make([]complex128, n)
	for i, v := range window {
		a[i] = complex(v, 0)
	}
	for i, v := range clip {
		b[i] = complex(v, 0)
	}
	transform(a, -1)
	transform(b, -1)
	for i := range a {
		a[i] *= cmplx.Conj(b[i])
	}
	transform(a, 1)
	out := make([]float64, len(window))
	for i := range out {
		out[i] = real(a[i]) / float64(n)
	}
	return out
}

// transform is the Fourier transform of a power of two, in place; sign 1 is the inverse but for its scale.
func transform(a []complex128, sign float64) {
	n := len(a)
	for i, j := 1, 0; i < n; i++ {
		bit := n >> 1
		for ; j&bit != 0; bit >>= 1 {
			j ^= bit
		}
		j ^= bit
		if i < j {
			a[i], a[j] = a[j], a[i]
		}
	}
	roots := make([]complex128, n/2)
	for i := range roots {
		roots[i] = cmplx.Rect(1, sign*2*math.Pi*float64(i)/float64(n))
	}
	for size := 2; size <= n; size *= 2 {
		half, step := size/2, n/size
		for first := 0; first < n; first += size {
			for k := range half {
				low, high := a[first+k], a[first+k+half]*roots[k*step]
				a[first+k], a[first+k+half] = low+high, low-high
			}
		}
	}
}

func dot(a, b []float64) (sum float64) {
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

// ratio is the power of ref over that of the difference, in dB, at most 100.
func ratio(ref, dec []float64) float64 {
	signal, noise := 0.0, 0.0
	for i := range ref {
		signal += ref[i] * ref[i]
		noise += (ref[i] - dec[i]) * (ref[i] - dec[i])
	}
	return 10 * math.Log10((signal+1e-30)/(noise+signal*1e-10+1e-30))
}

// segments judges the frames of 20 ms in which the reference is within 40 dB of its loudest.
func segments(ref, dec []float64, rate int) (snr, spectral float64) {
	frame := rate / 50
	loudest := 0.0
	for at := 0; at+frame <= len(ref); at += frame {
		loudest = max(loudest, dot(ref[at:at+frame], ref[at:at+frame]))
	}
	n := 0.0
	for at := 0; at+frame <= len(ref); at += frame {
		r, d := ref[at:at+frame], dec[at:at+frame]
		if power := dot(r, r); power == 0 || power < loudest/1e4 {
			continue
		}
		snr += max(-10, min(40, ratio(r, d)))
		spectral += distance(r, d, rate)
		n++
	}
	if n == 0 {
		return 0, 0
	}
	return snr / n, spectral / n
}

// distance is the log-spectral distance of two frames: the root of the mean square of the difference, in dB, of their
// power in bands of 100 Hz within the telephone band, each not below 50 dB under the reference's strongest.
func distance(ref, dec []float64, rate int) float64 {
	r, d := bands(ref, rate), bands(dec, rate)
	strongest := 0.0
	for _, p := range r {
		strongest = max(strongest, p)
	}
	sum, least := 0.0, strongest/1e5+1e-30
	for i := range r {
		difference := 10 * math.Log10(max(r[i], least)/max(d[i], least))
		sum += difference * difference
	}
	return math.Sqrt(sum / float64(len(r)))
}

func bands(frame []float64, rate int) []float64 {
	n := 1
	for n < len(frame) {
		n *= 2
	}
	a := make([]complex128, n)
	for i, v := range frame {
		a[i] = complex(v*(0.5-0.5*math.Cos(2*math.Pi*(float64(i)+0.5)/float64(len(frame)))), 0)
	}
	transform(a, -1)
	const low, high, width = 300, 3400, 100
	out := make([]float64, (high-low)/width)
	for i := range n / 2 {
		if f := float64(i) * float64(rate) / float64(n); f >= low && f < high {
			out[int(f-low)/width] += real(a[i])*real(a[i]) + imag(a[i])*imag(a[i])
		}
	}
	return out
}
