package selftest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"time"
)

// Person is who installs the recorder: reads what to do, and answers in lines, at a terminal or not. A nil Person is told
// nothing and answers nothing.
type Person struct {
	out   io.Writer
	lines chan string // never closed: at the end of in nobody answers any more
}

// NewPerson begins to read a person's lines. That ends with in.
func NewPerson(out io.Writer, in io.Reader) *Person {
	p := &Person{out: out, lines: make(chan string)}
	go func() {
		for s := bufio.NewScanner(in); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	return p
}

// Tell shows a line.
func (p *Person) Tell(words string) {
	if p != nil {
		fmt.Fprintln(p.out, words)
	}
}

// Lines are the person's; nil where there is no person.
func (p *Person) Lines() <-chan string {
	if p == nil {
		return nil
	}
	return p.lines
}

// Ask puts a question that is answered with yes or no, and waits so long for the answer.
func (p *Person) Ask(ctx context.Context, question string, patience time.Duration) (yes, answered bool) {
	if p == nil {
		return false, false
	}
	p.Tell(fmt.Sprintf("%s [y/n] (at most %v)", question, patience))
	over := time.NewTimer(patience)
	defer over.Stop()
	for {
		select {
		case line := <-p.lines:
			switch strings.ToLower(strings.TrimSpace(line)) {
			case "y", "yes":
				return true, true
			case "n", "no":
				return false, true
			case "":
				return false, false // left out, as a step is
			}
			p.Tell("  answer y or n, or Enter to leave it out")
		case <-over.C:
			return false, false
		case <-ctx.Done():
			return false, false
		}
	}
}
