package buffer

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"
)

const modelSteps = 420

// run plays the scenario and reports how many changing calls it made.
func (m *model) run(steps int) {
	if !m.open() {
		return
	}
	for i := range steps {
		if err := m.step(); err != nil && !errors.Is(err, errIO) {
			return // the power is gone
		}
		if i == steps/2 {
			if err := m.ring.Close(); errors.Is(err, errPower) || !m.open() {
				return
			}
		}
	}
	for range 2 {
		if m.sync() == nil {
			break
		}
	}
}

// revive starts the program again after it was killed, with what the system had in memory.
func (m *model) revive() {
	m.card.off, m.card.cutAt = false, 0
	if !m.open() {
		m.t.Fatal("the ring does not open after a kill")
	}
	for range 15 {
		noError(m.t, m.step())
	}
}

// after loses power and goes on with the card as it is found, twice.
func (m *model) after() {
	for range 2 {
		m.card = m.card.cut()
		if !m.open() {
			m.t.Fatal("the ring does not open after a cut")
		}
		for range 15 {
			noError(m.t, m.step())
		}
		noError(m.t, m.sync())
	}
}

// faultPlan says which faults are tried: each Stride-th changing call of the card, in Seeds scenarios from Seed on, until
// Time is over.
type faultPlan struct {
	Seed, Seeds, Stride int
	Time                time.Duration
}

func planOfFaults(t *testing.T) faultPlan {
	p := faultPlan{Seeds: 1, Stride: 41, Time: time.Hour}
	for name, v := range map[string]*int{"SEED": &p.Seed, "SEEDS": &p.Seeds, "STRIDE": &p.Stride} {
		if s := os.Getenv("LINEKEEPER_FAULT_" + name); s != "" {
			n, err := strconv.Atoi(s)
			noError(t, err)
			*v = n
		}
	}
	if s := os.Getenv("LINEKEEPER_FAULT_TIME"); s != "" {
		d, err := time.ParseDuration(s)
		noError(t, err)
		p.Time = d
	}
	return p
}

// TestEveryCutAndFault lets each call that changes the card fail; be the one in which power goes, or in which the program
// is killed; and fail with power going soon after. Ordinarily that is each 41st call of one scenario for each policy. With
// LINEKEEPER_FAULT_STRIDE=1 it is every call; LINEKEEPER_FAULT_SEED is the first scenario, LINEKEEPER_FAULT_SEEDS how many,
// LINEKEEPER_FAULT_TIME when to stop. What was tried is printed at the end.
func TestEveryCutAndFault(t *testing.T) {
	p := planOfFaults(t)
	until := time.Now().Add(p.Time)
	tried, last := 0, "none"
	for seed := uint64(p.Seed); seed < uint64(p.Seed+p.Seeds); seed++ {
		for _, policy := range []Policy{StopWhenFull, OverwriteWhenFull} {
			whole := newModel(t, seed, policy)
			whole.run(modelSteps)
			if whole.ring.space.generation < 12 || whole.copied == 0 {
				t.Fatalf("the scenario is too short: the ring has come to generation %d only, calls carried out of %d segments",
					whole.ring.space.generation, whole.copied)
			}
			for n := 1 + int(seed)%p.Stride; n <= whole.card.ops && time.Now().Before(until); n += p.Stride {
				for _, fault := range []string{"cut", "fail", "kill", "fail and cut"} {
					last = fmt.Sprintf("%s/%s/%d/%d", policy, fault, seed, n)
					if t.Run(last, func(t *testing.T) { faulty(t, seed, policy, fault, n) }); t.Failed() {
						t.Fatalf("after %d faults: LINEKEEPER_FAULT_SEED=%d go test -run 'EveryCut.*/%s' repeats it", tried, seed, last)
					}
					tried++
				}
			}
		}
	}
	t.Logf("%d faults in %d scenarios, each %d. changing call of the card; the last was %s; the promises held", tried, 2*p.Seeds, p.Stride, last)
}

// faulty plays a scenario with a fault in it.
func faulty(t *testing.T, seed uint64, policy Policy, fault string, n int) {
	m := newModel(t, seed, policy)
	switch fault {
	case "fail":
		m.card.failAt = n
	case "fail and cut":
		m.card.failAt, m.card.cutAt = n, n+1+n%5
	default:
		m.card.cutAt = n
	}
	m.run(modelSteps)
	if fault == "kill" {
		m.revive()
	}
	m.after()
}
