package device

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"sync"
)

// qmp is QEMU's monitor. Commands go one after the other; events are let go.
type qmp struct {
	conn    net.Conn
	boot    *boot
	answers chan answer
	done    chan struct{}
	one     sync.Mutex
}

type answer struct {
	Greeting json.RawMessage `json:"QMP"`
	Event    string          `json:"event"`
	Return   json.RawMessage `json:"return"`
	Error    *struct {
		Desc string `json:"desc"`
	} `json:"error"`
}

func newQMP(conn net.Conn, b *boot) *qmp {
	q := &qmp{conn: conn, boot: b, answers: make(chan answer, 16), done: make(chan struct{})}
	go func() {
		defer close(q.done)
		for dec := json.NewDecoder(conn); ; {
			var a answer
			if dec.Decode(&a) != nil {
				return
			}
			if a.Event == "" {
				q.answers <- a
			}
		}
	}()
	return q
}

func (q *qmp) greet(ctx context.Context) error {
	if _, err := q.await(ctx); err != nil {
		return fmt.Errorf("greet QEMU: %w", err)
	}
	return q.do(ctx, "qmp_capabilities", nil)
}

// do executes a command and waits for its answer.
func (q *qmp) do(ctx context.Context, command string, arguments map[string]any) error {
	q.one.Lock()
	defer q.one.Unlock()
	text, err := json.Marshal(map[string]any{"execute": command, "arguments": arguments})
	if err != nil {
		return err
	}
	if arguments == nil {
		text = fmt.Appendf(nil, `{"execute":%q}`, command)
	}
	if _, err := q.conn.Write(text); err != nil {
		return fmt.Errorf("QEMU: %s: %w", command, err)
	}
	a, err := q.await(ctx)
	if err == nil && a.Error != nil {
		err = fmt.Errorf("refused: %s", a.Error.Desc)
	}
	if err != nil {
		return fmt.Errorf("QEMU: %s: %w", command, err)
	}
	return nil
}

func (q *qmp) await(ctx context.Context) (answer, error) {
	select {
	case a := <-q.answers:
		return a, nil
	case <-q.boot.dead:
		return answer{}, q.boot.why
	case <-ctx.Done():
		return answer{}, context.Cause(ctx)
	}
}

func (q *qmp) close() {
	_ = q.conn.Close()
	<-q.done
}
