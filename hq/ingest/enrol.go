package ingest

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"

	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/wire"
)

// enrol gives a recorder its first certificate, for the token that its bundle had. Whoever asks has shown nothing yet.
func (in *Ingest) enrol(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, wire.MaxEnrolment)
	body, err := readMessage(w, r)
	var e wire.Enrolment
	if err == nil {
		if err = wire.Decode(body, &e); err != nil {
			err = malformed(err)
		}
	}
	if err == nil {
		_, err = in.cfg.Recorders.UseToken(r.Context(), e.Token, e.Key)
	}
	if errors.Is(err, hq.ErrRefused) {
		in.cfg.Log.Warn("a recorder is not enrolled", "device", e.Device(), "error", err)
	}
	in.certify(w, r, e.Key, err)
}

// renew gives a recorder a new certificate for the key that it has shown.
func (in *Ingest) renew(w http.ResponseWriter, r *http.Request) {
	key, ok := r.TLS.PeerCertificates[0].PublicKey.(ed25519.PublicKey) // which identify has checked
	if !ok {
		in.certify(w, r, nil, fmt.Errorf("%w: the certificate is not a recorder's", hq.ErrRefused))
		return
	}
	in.certify(w, r, key, nil)
}

func (in *Ingest) certify(w http.ResponseWriter, r *http.Request, key ed25519.PublicKey, err error) {
	var pem []byte
	if err == nil {
		pem, err = in.cfg.Authority.IssueDevice(key)
	}
	in.answer(w, r, wire.CertificateAnswer{Certificate: string(pem)}, err)
}
