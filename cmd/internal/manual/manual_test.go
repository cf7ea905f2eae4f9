package manual

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func program() *cobra.Command {
	nothing := func(*cobra.Command, []string) error { return nil }
	root := &cobra.Command{Use: "tool", Short: "Does things", Long: "tool does things.\n\n.Dots and \\backslashes stay.", Version: "v1"}
	root.PersistentFlags().StringP("config", "c", "/etc/tool.toml", "settings file")
	group := &cobra.Command{Use: "user", Short: "Manage users"}
	add := &cobra.Command{Use: "add NAME", Short: "Add a user", Long: "Adds a user, as `tool run --all` would.", RunE: nothing}
	add.Flags().Bool("password-stdin", false, "read a password")
	add.Flags().String("log", "text", "`form` of the log")
	group.AddCommand(add)
	root.AddCommand(group, &cobra.Command{Use: "secret", Hidden: true, RunE: nothing}, Command())
	return root
}

func TestPageHasWhatHelpHas(t *testing.T) {
	root := program()
	var out bytes.Buffer
	root.SetOut(&out)
	root.SetArgs([]string{"manual", "--date", "2026-11-23"})
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	page := out.String()
	for _, want := range []string{
		`.TH TOOL 8 "2026-11-23" "tool v1" "Linekeeper"`,
		`tool \- does things`,
		".PP\n\\&.Dots and \\ebackslashes stay.\n",
		".SS user add NAME\nAdds a user, as \\fBtool run \\-\\-all\\fR would.\n",
		".TP\n\\fB\\-\\-log\\fR \\fIform\\fR\nform of the log (default: text)\n",
		".TP\n\\fB\\-\\-password\\-stdin\\fR\nread a password\n",
		".TP\n\\fB\\-c\\fR, \\fB\\-\\-config\\fR \\fIstring\\fR\nsettings file (default: /etc/tool.toml)\n",
		`\fI/etc/tool.toml\fR`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, not := range []string{"secret", "manual", "completion"} {
		if strings.Contains(page, not) {
			t.Errorf("the page names %q", not)
		}
	}
	if t.Failed() {
		t.Log(page)
	}
}
