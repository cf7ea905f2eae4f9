package main

import (
	"strings"
	"testing"
)

// Every mistake in [uplink.policy] is named with its place, and nothing that is not understood is taken for no limit.
func TestDamagedPolicy(t *testing.T) {
	const window, days, hours = "[[uplink.policy.window]]\n", `key "uplink.policy.window.days"`, `key "uplink.policy.window.hours"`
	for name, tc := range map[string]struct{ text, want string }{ // want empty: it is well
		"nothing said":          {"[uplink.policy]\n", ""},
		"all of it":             {"[uplink.policy]\neverything = true\nasked = true\nrate = \"8KiB\"\nday = \"50MiB\"\nmonth = \"1GiB\"\ntime_zone = \"Africa/Maputo\"\n" + window + "days = [\"Mon\", \"fri\"]\nhours = [\"22:00\", \"06:00\"]\n", ""},
		"the whole day":         {window + "days = [\"sun\"]\n", ""},
		"an unknown key":        {"[uplink.policy]\nmonht = \"1GB\"\n", `did you mean "uplink.policy.month"?`},
		"a rate too low":        {"[uplink.policy]\nrate = 499\n", `key "uplink.policy.rate": 499 bytes a second is less than 500`},
		"a rate below nothing":  {"[uplink.policy]\nrate = -1\n", "uplink.policy.rate"},
		"a rate in words":       {"[uplink.policy]\nrate = \"fast\"\n", "fast"},
		"a rate of true":        {"[uplink.policy]\nrate = true\n", "rate"},
		"a day below nothing":   {"[uplink.policy]\nday = -1\n", "uplink.policy.day"},
		"a day in another unit": {"[uplink.policy]\nday = \"50 horses\"\n", "horses"},
		"a month below nothing": {"[uplink.policy]\nmonth = -5\n", "uplink.policy.month"},
		"a month too large":     {"[uplink.policy]\nmonth = 99999999999999999999\n", "month"},
		"no time zone":          {"[uplink.policy]\ntime_zone = \"Africa/Atlantis\"\n", `key "uplink.policy.time_zone": "Africa/Atlantis" is no time zone such as Africa/Maputo`},
		"a path for a zone":     {"[uplink.policy]\ntime_zone = \"../../etc/passwd\"\n", `key "uplink.policy.time_zone"`},
		"everything of 1":       {"[uplink.policy]\neverything = 1\n", "everything"},
		"a wrong day":           {window + "days = [\"montag\"]\n", days + `: "montag" is not one of: sun, mon`},
		"an empty day":          {window + "days = [\"\"]\n", days},
		"one hour":              {window + "hours = [\"22:00\"]\n", hours + ": "},
		"three hours":           {window + "hours = [\"22:00\", \"23:00\", \"01:00\"]\n", hours},
		"twice the same":        {window + "hours = [\"22:00\", \"22:00\"]\n", hours},
		"the same, otherwise":   {window + "hours = [\"8:00\", \"08:00\"]\n", hours},
		"an hour of 25":         {window + "hours = [\"25:00\", \"06:00\"]\n", `"25:00" is not a time such as 22:00`},
		"an hour of 24":         {window + "hours = [\"22:00\", \"24:00\"]\n", `"24:00" is not a time such as 22:00`},
		"an hour without point": {window + "hours = [\"2200\", \"06:00\"]\n", `"2200" is not a time such as 22:00`},
		"hours as numbers":      {window + "hours = [22, 6]\n", "hours"},
		"the second is wrong":   {window + "days = [\"mon\"]\n" + window + "days = [\"xyz\"]\n", `:4: key "uplink.policy.window.days": "xyz"`},
		"a table for a window":  {"[uplink.policy]\nwindow = \"night\"\n", "window"},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errs := linekeeper(t, "check-config", settingsFile(t, tc.text+"[[line]]\nname = \"a\"\ndevice = \"hw:0\"\n"))
			switch {
			case tc.want == "" && code != 0:
				t.Errorf("not taken: %s", errs)
			case tc.want != "" && (code != 2 || !strings.Contains(out+errs, tc.want)):
				t.Errorf("exit code %d, %s%s, want %q", code, out, errs, tc.want)
			}
		})
	}
}
