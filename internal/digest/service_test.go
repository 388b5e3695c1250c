package digest

import (
	"testing"
	"time"
)

// Whatever the clocks do, each day has one time, and they follow upon each other.
func TestEachDayHasOneTime(t *testing.T) {
	t.Parallel()
	for _, zone := range []string{"UTC", "Europe/Berlin", "America/New_York", "America/Havana", "Asia/Kathmandu", "Australia/Lord_Howe"} {
		loc, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		for hour := range 24 {
			h := Hour{hour, loc, true}
			now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
			at, on := h.next(now, "")
			for at.Year() < 2027 {
				later, next := h.next(at.Add(7*time.Minute), on)
				day, err := time.Parse(time.DateOnly, on)
				if err != nil || next != day.AddDate(0, 0, 1).Format(time.DateOnly) {
					t.Fatalf("%s, %d o'clock: %s follows %s", zone, hour, next, on)
				}
				if gap := later.Sub(at); gap < 22*time.Hour || gap > 26*time.Hour {
					t.Errorf("%s, %d o'clock: %v after %v", zone, hour, later, at)
				}
				at, on = later, next
			}
		}
	}
}
