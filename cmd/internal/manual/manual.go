// Package manual writes the manual page of a program from its commands, so that the page and --help cannot differ.
package manual

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Command is hidden: the packages are built with it, and nobody else needs it.
func Command() *cobra.Command {
	var date string
	cmd := &cobra.Command{
		Use:    "manual",
		Short:  "Print the manual page, in man(7)'s language",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return Write(cmd.OutOrStdout(), cmd.Root(), date)
		},
	}
	cmd.Flags().StringVar(&date, "date", "", "date of the page, as YYYY-MM-DD")
	return cmd
}

// Write writes the page of a program: what it is for, each command that is not hidden, options, files and exit codes.
// The long text of root becomes the description. Its persistent flag "config", where there is one, names the settings
// file.
func Write(w io.Writer, root *cobra.Command, date string) error {
	var p page
	name := root.Name()
	p.line(".TH %s 8 %q %q %q", strings.ToUpper(name), date, name+" "+root.Version, "Linekeeper")
	p.section("NAME")
	p.line(`%s \- %s`, escape(name), escape(strings.ToLower(root.Short[:1])+root.Short[1:]))
	p.section("SYNOPSIS")
	p.line(`.B %s`, escape(name))
	p.line(`.I command`)
	p.line(`[\fIoptions\fR]`)
	p.section("DESCRIPTION")
	p.text(root.Long)
	p.section("COMMANDS")
	p.commands(root)
	p.section("OPTIONS")
	p.line("Of every command:")
	p.flags(root.PersistentFlags())
	p.tagged(`\fB\-h\fR, \fB\-\-help\fR`, "what a command does, and its options")
	if config := root.PersistentFlags().Lookup("config"); config != nil {
		p.section("FILES")
		p.tagged(`\fI`+escape(config.DefValue)+`\fR`, "settings; the file as it is installed has a line for each key")
		p.tagged(`\fI/var/lib/`+escape(name)+`\fR`, "what the program keeps; never removed with the package")
	}
	p.section("SEE ALSO")
	p.line(`.BR systemctl (1),`)
	p.line(`.BR journalctl (1)`)
	_, err := w.Write(p.Bytes())
	return err
}

// page is a manual page being written.
type page struct{ bytes.Buffer }

func (p *page) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

func (p *page) section(title string) { p.line(".SH %s", title) }

// commands writes the commands that do something, in their order: a group is only the words before its members.
func (p *page) commands(parent *cobra.Command) {
	for _, cmd := range parent.Commands() {
		if !cmd.IsAvailableCommand() || cmd.Name() == "help" || cmd.Name() == "completion" {
			continue
		}
		if cmd.HasAvailableSubCommands() {
			p.commands(cmd)
			continue
		}
		use := strings.TrimSuffix(cmd.UseLine(), " [flags]")
		p.line(".SS %s", escape(strings.TrimPrefix(use, cmd.Root().Name()+" ")))
		if cmd.Long != "" {
			p.text(cmd.Long)
		} else {
			p.text(cmd.Short + ".")
		}
		p.flags(cmd.LocalNonPersistentFlags())
	}
}

// flags writes a list of options, but for those that every command has.
func (p *page) flags(set *pflag.FlagSet) {
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		tag := `\fB\-\-` + escape(f.Name) + `\fR`
		if f.Shorthand != "" {
			tag = `\fB\-` + escape(f.Shorthand) + `\fR, ` + tag
		}
		value, usage := pflag.UnquoteUsage(f)
		if value != "" {
			tag += ` \fI` + escape(value) + `\fR`
		}
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" {
			usage += " (default: " + f.DefValue + ")"
		}
		p.tagged(tag, usage)
	})
}

func (p *page) tagged(tag, text string) {
	p.line(".TP\n%s", tag)
	p.text(text)
}

// text writes paragraphs; what stands in backquotes is to be typed, and becomes bold.
func (p *page) text(s string) {
	for i, paragraph := range strings.Split(strings.TrimSpace(s), "\n\n") {
		if i > 0 {
			p.line(".PP")
		}
		for _, line := range strings.Split(paragraph, "\n") {
			words := strings.Split(escape(strings.TrimSpace(line)), "`")
			for i := 1; i < len(words); i += 2 {
				words[i] = `\fB` + words[i] + `\fR`
			}
			p.line("%s", guard(strings.Join(words, "")))
		}
	}
}

// escape keeps roff from reading text as its own: backslashes, and hyphens that are to be typed as they are.
func escape(s string) string { return strings.NewReplacer(`\`, `\e`, `-`, `\-`).Replace(s) }

// guard keeps a line that begins with a dot or a quote from being a request.
func guard(line string) string {
	if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
		return `\&` + line
	}
	return line
}
