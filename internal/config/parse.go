package config

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
)

// Command is what the program was asked to do.
type Command struct {
	Name string // serve, migrate, suspend, restore, admin, revoke-admin, new-epoch, demo, check, version or help
	Sub  string // of migrate: up or status; of suspend, restore, admin and revoke-admin: the username
}

// Error is a setting, flag or command that was refused.
type Error struct {
	Setting string // how the user named it
	Problem string
	Hint    string // what to do
}

func (e *Error) Error() string { return e.Setting + ": " + e.Problem + "; " + e.Hint }

const helpHint = "--help lists every command and setting"

// Parse reads the program's arguments (without its name) and environment (as os.Environ gives it). It touches nothing
// else. Every refusal is an *Error; several are joined.
func Parse(args, environ []string) (Command, Config, error) {
	settings := settingsOf(Config{})
	values := map[string]string{}
	named := map[string]string{} // env name → how the user named it
	for _, s := range settings {
		values[s.env] = s.def
		named[s.env] = s.env
	}

	var errs []error
	for _, kv := range environ {
		name, value, _ := strings.Cut(kv, "=")
		_, known := values[name]
		switch {
		case known && value != "":
			values[name] = value
		case !known && strings.HasPrefix(name, "PARLEY_"):
			errs = append(errs, &Error{name, "there is no such setting", nearest(name, settings)})
		}
	}

	cmd, rest, err := command(args)
	if err != nil {
		return cmd, Config{}, err
	}
	flags := flag.NewFlagSet("parley", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	for _, s := range settings {
		set := func(v string) error {
			values[s.env], named[s.env] = v, "--"+s.flag
			return nil
		}
		if s.isBool {
			flags.BoolFunc(s.flag, s.help, set)
		} else {
			flags.Func(s.flag, s.help, set)
		}
	}
	switch err := flags.Parse(rest); {
	case errors.Is(err, flag.ErrHelp):
		return Command{Name: "help"}, Config{}, nil
	case err != nil:
		return cmd, Config{}, &Error{"arguments", err.Error(), helpHint}
	case flags.NArg() > 0:
		return cmd, Config{}, &Error{strconv.Quote(flags.Arg(0)), "not understood here", helpHint}
	}

	var c Config
	if err := env.ParseWithOptions(&c, env.Options{Environment: values}); err != nil {
		errs = append(errs, refused(err, settings, named, values)...)
	} else {
		errs = append(errs, c.check(cmd, named)...)
	}
	return cmd, c, errors.Join(errs...)
}

func command(args []string) (Command, []string, error) {
	cmd := Command{Name: "serve"}
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return cmd, args, nil
	}
	cmd.Name, args = args[0], args[1:]
	switch cmd.Name {
	case "serve", "new-epoch", "demo", "check", "version", "help":
		return cmd, args, nil
	case "migrate", "suspend", "restore", "admin", "revoke-admin":
		missing := &Error{cmd.Name, "who is missing", "say " + cmd.Name + " and the username"}
		whole := len(args) > 0 && !strings.HasPrefix(args[0], "-")
		if cmd.Name == "migrate" {
			missing = &Error{"migrate", "what to do is missing", "say migrate up or migrate status"}
			whole = whole && (args[0] == "up" || args[0] == "status")
		}
		if whole {
			cmd.Sub = args[0]
			return cmd, args[1:], nil
		}
		if slices.ContainsFunc(args, func(a string) bool { return a == "-h" || a == "-help" || a == "--help" }) {
			return Command{Name: "help"}, nil, nil
		}
		return cmd, nil, missing
	}
	return cmd, nil, &Error{strconv.Quote(cmd.Name), "there is no such command", "say serve, migrate up, migrate status, suspend, restore, admin, revoke-admin, new-epoch, demo, check or version"}
}

func refused(err error, settings []setting, named, values map[string]string) (errs []error) {
	var all env.AggregateError
	if !errors.As(err, &all) {
		return []error{&Error{"settings", err.Error(), helpHint}}
	}
	for _, e := range all.Errors {
		var p env.ParseError
		if !errors.As(e, &p) {
			errs = append(errs, &Error{"settings", e.Error(), helpHint})
			continue
		}
		i := slices.IndexFunc(settings, func(s setting) bool { return s.field == p.Name })
		s := settings[i]
		errs = append(errs, &Error{named[s.env], strconv.Quote(values[s.env]) + " is not " + s.kind, "write something like " + s.like})
	}
	return errs
}

// setting is one field of Config, as its tags describe it.
type setting struct {
	field, env, flag, def, help, min string
	kind, like                       string // what a value is, and an example
	isBool, secret                   bool
	value                            reflect.Value
}

func settingsOf(c Config) []setting {
	v := reflect.ValueOf(c)
	list := make([]setting, 0, v.NumField())
	for i := range v.NumField() {
		f := v.Type().Field(i)
		s := setting{field: f.Name, env: f.Tag.Get("env"), flag: f.Tag.Get("flag"), def: f.Tag.Get("default"),
			help: f.Tag.Get("help"), min: f.Tag.Get("min"), secret: f.Tag.Get("secret") != "", value: v.Field(i)}
		switch v.Field(i).Interface().(type) {
		case time.Duration:
			s.kind, s.like = "a duration", "10s, 5m or 168h"
		case Bytes:
			s.kind, s.like = "a size", "65536, 64KiB or 1MiB"
		case int:
			s.kind, s.like = "a whole number", s.def
		case *bool:
			s.kind, s.like, s.isBool = "a yes or no", "true or false", true
		default:
			s.kind, s.like = "a text", s.def
		}
		list = append(list, s)
	}
	return list
}

func (s setting) tooSmall() bool {
	if s.min == "" {
		return false
	}
	switch v := s.value.Interface().(type) {
	case time.Duration:
		least, err := time.ParseDuration(s.min)
		return err != nil || v < least
	case Bytes:
		var least Bytes
		return least.UnmarshalText([]byte(s.min)) != nil || v < least
	case int:
		least, err := strconv.Atoi(s.min)
		return err != nil || v < least
	}
	return true
}

// nearest is the hint for a name that does not exist.
func nearest(name string, settings []setting) string {
	best, distance := "", 1+len(name)/3
	for _, s := range settings {
		if d := edits(name, s.env); d < distance {
			best, distance = s.env, d
		}
	}
	if best == "" {
		return "unset it; " + helpHint
	}
	return "did you mean " + best + "?"
}

// edits counts the single-character edits between two words.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j]+1, row[j+1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

// Help writes every command and setting.
func Help(w io.Writer) {
	_, _ = io.WriteString(w, `Parley, a chat server with one GraphQL endpoint.

  parley [serve]          run the server (migrates the database first)
  parley migrate up       apply the migrations and stop
  parley migrate status   list the migrations
  parley suspend <user>   end all sessions of a user and let none begin; works while servers run
  parley restore <user>   let a suspended user sign in again
  parley admin <user>     let a user open /admin/jobs/; parley revoke-admin <user> undoes it
  parley new-epoch        refuse all cursors of before: after the database was restored from a backup, while no server runs
  parley demo             play a conversation on a temporary database and check what everybody sees
  parley check            verify the log and every counter of the database; exit 1 at the first violation
  parley version          print the version

Settings, as flags or in the environment; a flag wins:

`)
	for _, s := range settingsOf(Config{}) {
		def := s.def
		if def == "" {
			def = "empty"
		}
		_, _ = fmt.Fprintf(w, "  --%s, %s (default %s)\n      %s\n", s.flag, s.env, def, s.help)
	}
}
