package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/linekeeper/linekeeper/cmd/internal/command"
	"github.com/linekeeper/linekeeper/hq"
	"github.com/linekeeper/linekeeper/hq/library"
	"github.com/linekeeper/linekeeper/hq/web"
)

func userCommand(o *options) *cobra.Command {
	user := &cobra.Command{Use: "user", Short: "Manage who may log in to the web pages"}
	var fromStdin, admin bool
	add := &cobra.Command{
		Use:   "add NAME",
		Short: "Add a user, or set a new password",
		Long: `Adds a user, who may find calls and listen to them, or gives one a new password. With --admin the user may also make bundles,
which let recorders in; to take that right away, remove the user, and add the user again.`,
		Args: command.Exactly(1, "a name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			password, err := readPassword(cmd, fromStdin)
			if err != nil {
				return err
			}
			return o.withLibrary(func(lib *library.Library) error {
				u := hq.User{Name: args[0], Password: web.HashPassword(password), Admin: admin, Added: time.Now()}
				return lib.Accounts().SaveUser(cmd.Context(), u)
			})
		},
	}
	add.Flags().BoolVar(&admin, "admin", false, "may make bundles, which let recorders in")
	add.Flags().BoolVar(&fromStdin, "password-stdin", false, "read the password from standard input, one line")
	remove := &cobra.Command{
		Use:   "remove NAME",
		Short: "Remove a user, and end the user's sessions",
		Args:  command.Exactly(1, "a name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := o.withLibrary(func(lib *library.Library) error { return lib.Accounts().RemoveUser(cmd.Context(), args[0]) })
			if errors.Is(err, hq.ErrNotFound) {
				return fmt.Errorf("there is no user %q; `linekeeper-hq user list` lists them", args[0])
			}
			return err
		},
	}
	user.AddCommand(add, remove, userListCommand(o))
	return user
}

func userListCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the users",
		Args:  command.Exactly(0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.withLibrary(func(lib *library.Library) error {
				users, err := lib.Accounts().Users(cmd.Context())
				if err != nil {
					return err
				}
				type row struct {
					Name  string    `json:"name"`
					Admin bool      `json:"admin,omitempty"`
					Added time.Time `json:"added"`
				}
				rows := []row{}
				for _, u := range users {
					rows = append(rows, row{u.Name, u.Admin, u.Added})
				}
				if o.JSON {
					return command.PrintJSON(cmd.OutOrStdout(), rows)
				}
				t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(t, "USER\tADDED\tRIGHTS")
				for _, r := range rows {
					rights := "listens"
					if r.Admin {
						rights = "listens, makes bundles"
					}
					fmt.Fprintf(t, "%s\t%s\t%s\n", r.Name, r.Added.Local().Format(time.DateTime), rights)
				}
				return t.Flush()
			})
		},
	}
	o.AddJSON(cmd)
	return cmd
}

func (o *options) withLibrary(do func(*library.Library) error) error {
	c, err := loadConfig(o.Config)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return fmt.Errorf("make headquarters' folder: %w", err)
	}
	lib, err := library.Open(c.libraryFile(), time.Now)
	if err != nil {
		return err
	}
	return errors.Join(do(lib), lib.Close())
}

// leastPassword is how many characters a password needs.
const leastPassword = 8

func readPassword(cmd *cobra.Command, fromStdin bool) (string, error) {
	var password string
	stdin, isFile := cmd.InOrStdin().(*os.File)
	if isFile && !fromStdin && term.IsTerminal(int(stdin.Fd())) {
		fmt.Fprint(cmd.ErrOrStderr(), "password: ")
		typed, err := term.ReadPassword(int(stdin.Fd()))
		fmt.Fprintln(cmd.ErrOrStderr())
		if err != nil {
			return "", fmt.Errorf("read password: %w", err)
		}
		password = string(typed)
	} else {
		if !fromStdin {
			return "", command.Usage("no terminal to ask for the password on: give it on standard input with --password-stdin")
		}
		line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
		if err != nil && line == "" {
			return "", fmt.Errorf("read password from standard input: %w", err)
		}
		password = strings.TrimRight(line, "\r\n")
	}
	if len([]rune(password)) < leastPassword {
		return "", command.Usage("a password needs at least %d characters", leastPassword)
	}
	return password, nil
}
