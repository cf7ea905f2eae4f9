package authority

import (
	"crypto/rand"
	"crypto/tls"
	"sync"
)

// mostSessions bounds what is kept of TLS sessions: some 5 MB. A recorder whose session is gone shows its certificate again.
const mostSessions = 4096

type ticket [16]byte

// sessions keeps recorders' TLS sessions, so that one whose link was cut comes back without its certificate, for 370 bytes
// in place of 800. A ticket as Go makes it holds the session with that certificate, and saves nothing; these are names,
// drawn by chance. That the certificate has not ended is looked at again at each connection (crypto/tls), and whether the
// recorder is shut out at each request.
type sessions struct {
	mu    sync.Mutex
	kept  map[ticket][]byte
	order []ticket // as they came; full, it is a ring
	next  int
}

// wrap is a tls.Config's WrapSession.
func (s *sessions) wrap(_ tls.ConnectionState, state *tls.SessionState) ([]byte, error) {
	b, err := state.Bytes()
	if err != nil {
		return nil, err
	}
	var t ticket
	_, _ = rand.Read(t[:]) // never fails (crypto/rand)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept == nil {
		s.kept = map[ticket][]byte{}
	}
	if len(s.order) < mostSessions {
		s.order = append(s.order, t)
	} else {
		delete(s.kept, s.order[s.next])
		s.order[s.next] = t
		s.next = (s.next + 1) % mostSessions
	}
	s.kept[t] = b
	return t[:], nil
}

// unwrap is a tls.Config's UnwrapSession. A ticket may be used again: the link may have been cut before the next one came.
func (s *sessions) unwrap(name []byte, _ tls.ConnectionState) (*tls.SessionState, error) {
	if len(name) != len(ticket{}) {
		return nil, nil
	}
	s.mu.Lock()
	b := s.kept[ticket(name)]
	s.mu.Unlock()
	if b == nil {
		return nil, nil
	}
	return tls.ParseSessionState(b)
}
