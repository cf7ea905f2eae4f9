package wire

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/linekeeper/linekeeper/call"
)

// PathCommands is where a recorder asks for headquarters' commands: GET with WaitParameter, answered with a CommandList
// as soon as there is one, or an empty one when the time is over. CommandResultPath takes what became of one.
const (
	PathCommands  = "/v1/commands"
	WaitParameter = "wait" // seconds, at most LongestWait
)

// Limits of commands.
const (
	LongestWait = 5 * time.Minute // of a question for commands
	MaxCommands = 32              // in one list
)

// CommandResultPath takes a CommandResult by POST.
func CommandResultPath(number uint64) string {
	return fmt.Sprintf("%s/%d/result", PathCommands, number)
}

// TopicCommand is where headquarters sends a CommandList of one; number 0 gives the filter for all of them.
func TopicCommand(device call.DeviceID, number uint64) string {
	return topic(device, "command/"+numberOrAll(number))
}

// TopicResult is where a recorder sends the CommandResult.
func TopicResult(device call.DeviceID, number uint64) string {
	return topic(device, "result/"+numberOrAll(number))
}

// FilterResults is headquarters' subscription to results.
const FilterResults = "linekeeper/+/result/+"

func numberOrAll(number uint64) string {
	if number == 0 {
		return "+"
	}
	return strconv.FormatUint(number, 10)
}

// ParseResultTopic takes linekeeper/{device}/result/{number} apart.
func ParseResultTopic(s string) (call.DeviceID, uint64, error) {
	parts := strings.Split(s, "/")
	if len(parts) != 4 || parts[0] != "linekeeper" || parts[2] != "result" {
		return "", 0, fmt.Errorf("topic %q is not linekeeper/{device}/result/{number}", s)
	}
	device, err := call.ParseDeviceID(parts[1])
	if err != nil {
		return "", 0, err
	}
	number, err := strconv.ParseUint(parts[3], 10, 64)
	if err != nil || number == 0 || parts[3] != strconv.FormatUint(number, 10) {
		return "", 0, fmt.Errorf("topic %q: %q is not a command's number", s, parts[3])
	}
	return device, number, nil
}

// CommandKind is what headquarters wants done.
type CommandKind string

// The commands. All but Requeue need a call.
const (
	CommandFetch   CommandKind = "fetch"   // send the call before others, also if it was refused
	CommandFlag    CommandKind = "flag"    // mark the call as of interest
	CommandUnflag  CommandKind = "unflag"  // take the mark off
	CommandHold    CommandKind = "hold"    // keep the call on the card, whatever happens
	CommandUnhold  CommandKind = "unhold"  // let it go
	CommandRequeue CommandKind = "requeue" // send a call that was refused once more; without a call: all of them
)

// Command is what headquarters wants of a recorder. On the wire it is a compact JWS, signed by headquarters' receipt
// key: at a broker others may publish too.
//
// A recorder's commands have numbers that grow. Each is done once: a recorder keeps the results of those from Oldest on,
// gives them again when it is asked again, and does none below, however often it comes.
type Command struct {
	Device call.DeviceID `json:"device"`
	Number uint64        `json:"number"`
	Oldest uint64        `json:"oldest"` // of the commands that headquarters still has no result of; at most Number
	Time   time.Time     `json:"time"`   // when it was given
	Kind   CommandKind   `json:"kind"`
	Call   *call.ID      `json:"call,omitempty"`
	Why    string        `json:"why,omitempty"` // of a hold; it names no person
}

// CommandList carries commands as they were signed, oldest first.
type CommandList struct {
	Commands []string `json:"commands"`
}

// CommandResult says what became of a command.
type CommandResult struct {
	Number uint64 `json:"number"`
	Error  string `json:"error,omitempty"` // why it was not done; empty: it was
}

// SignCommand gives the command as a compact JWS.
func SignCommand(key ed25519.PrivateKey, c Command) (string, error) { return sign(key, "command", c) }

// VerifyCommand checks the signature and gives the command. Whether it is for the right device, and still to be done, is
// for the caller to check; its kind may be one of a later version.
func VerifyCommand(key ed25519.PublicKey, jws string) (c Command, err error) {
	if err := verify(key, "command", jws, &c); err != nil {
		return Command{}, err
	}
	switch {
	case c.Number == 0 || c.Kind == "":
		return Command{}, errors.New("command: without a number or a kind")
	case c.Oldest > c.Number:
		return Command{}, fmt.Errorf("command %d: older than the oldest, %d", c.Number, c.Oldest)
	}
	return c, nil
}

// Check says whether the command is complete, of a kind that this version knows.
func (c Command) Check() error {
	switch c.Kind {
	case CommandFetch, CommandFlag, CommandUnflag, CommandHold, CommandUnhold:
		if c.Call == nil {
			return fmt.Errorf("%s: of no call", c.Kind)
		}
	case CommandRequeue:
	default:
		return fmt.Errorf("%q is not a command that this version knows", c.Kind)
	}
	if c.Kind == CommandHold && c.Why == "" {
		return errors.New("hold: it must be said why")
	}
	return nil
}

func (l *CommandList) check() error {
	if len(l.Commands) > MaxCommands {
		return fmt.Errorf("a list of %d commands: at most %d", len(l.Commands), MaxCommands)
	}
	return nil
}
