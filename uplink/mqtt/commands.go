package mqtt

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/linekeeper/linekeeper/wire"
)

// Commands implements uplink.Commander: headquarters sends them by itself, one in a message.
func (t *Transport) Commands(ctx context.Context) (all []string, err error) {
	l, err := t.connected()
	if err != nil {
		return nil, err
	}
	take := func(m any) {
		list, _ := m.(wire.CommandList)
		all = append(all, list.Commands...)
	}
	select {
	case m := <-l.commands.messages:
		take(m)
	case <-l.lost:
		return nil, errLost
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for {
		select {
		case m := <-l.commands.messages:
			take(m)
		default:
			return all, nil
		}
	}
}

// Answer implements uplink.Commander.
func (t *Transport) Answer(ctx context.Context, r wire.CommandResult) error {
	l, err := t.connected()
	if err != nil {
		return err
	}
	payload, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode the result of command %d: %w", r.Number, err)
	}
	if err := l.publish(ctx, wire.TopicResult(t.device, r.Number), payload); err != nil {
		return fmt.Errorf("publish the result of command %d: %w", r.Number, err)
	}
	return nil
}
