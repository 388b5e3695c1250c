package webhook

import "time"

// Life is for how long a message is tried.
const Life = 24 * time.Hour

// waits follow the failures; the last one repeats. Half of the tries are within the first half hour, when most troubles end.
var waits = []time.Duration{
	5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour,
	8 * time.Hour,
}

// Next says how long to wait after a number of failures, the last of which was when the message was so old and asked for a
// pause of at least after; or that it is given up. The wait is spread by a fifth either way, as jitter in [0, 1) says, and the
// last try is at the end of the message's life.
func Next(failures int, age, after time.Duration, jitter float64) (wait time.Duration, ok bool) {
	if age >= Life {
		return 0, false
	}
	wait = waits[min(max(failures, 1), len(waits))-1]
	wait = time.Duration(float64(wait) * (0.8 + 0.4*jitter))
	return min(max(wait, after), Life-age), true
}
