package uplink

import "crypto/tls"

// TLS gives a copy of a configuration as it suits slow links. Records are as large as what is written at once, instead of
// growing from the size of a packet. The key share is X25519 alone: that with ML-KEM-768 beside it costs 1.2 KB more in each
// direction for each connection (docs/protocols.md has the figures), and a link that is cut often connects often. So are
// sessions kept, with which the next connection goes without certificates.
func TLS(cfg *tls.Config) *tls.Config {
	cfg = cfg.Clone()
	cfg.DynamicRecordSizingDisabled = true
	cfg.CurvePreferences = []tls.CurveID{tls.X25519}
	if cfg.ClientSessionCache == nil {
		cfg.ClientSessionCache = tls.NewLRUClientSessionCache(0)
	}
	return cfg
}
