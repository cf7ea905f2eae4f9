package uplink

import (
	"testing"

	"github.com/linekeeper/linekeeper/wire"
)

func TestHealthMakesNoStatusOfItsOwn(t *testing.T) {
	a := wire.Status{State: "idle", Health: &wire.Health{Temperature: 40}}
	b := wire.Status{State: "idle", Health: &wire.Health{Temperature: 50}, HealthLog: []wire.Health{{Number: 1}}, Waiting: wire.Waiting{Cost: 1, Rate: 2}}
	if !same(a, b) {
		t.Error("a warmer board, or another rate, is worth a message")
	}
}
