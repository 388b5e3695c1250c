package verdict

import "slices"

// refusals judges that every attempt that was refused had a reason to be.
func (v *Verdict) refusals(r *Run, db *Database, w *when) {
	answered := map[string][]*op{} // by friend request
	for _, o := range r.order {
		if answers[o.Act] != "" {
			answered[o.ID] = append(answered[o.ID], o)
		}
	}
	for _, o := range r.order {
		if o.outcome == "fail" && !w.refusable(db, o, answered[o.ID]) || o.says("INTERNAL") || o.says("UNAVAILABLE") && !r.troubled(o.done) {
			v.broken(Refused, o.lines(), "%s was refused, and nothing explains it", o.Act)
		}
	}
}

// refusable says whether an attempt may have been refused as it was; others are those at an answer to the same request.
func (w *when) refusable(db *Database, o *op, others []*op) bool {
	retry := o.Of != o.Op // what was asked may have been done already
	away := func(who string) bool { return !w.throughout(db, who, o.Conv, o.T, o.done) }
	switch o.Act {
	case "sendMessage", "markRead":
		return o.code == "NOT_FOUND" && away(o.Actor)
	case "leaveGroup":
		return o.code == "NOT_FOUND" && away(o.Actor)
	case "removeMember":
		return o.code == "NOT_FOUND" && away(o.User)
	case "sendFriendRequest":
		return o.code == "CONFLICT" && retry
	case "acceptFriendRequest", "rejectFriendRequest", "cancelFriendRequest":
		return o.code == "CONFLICT" && slices.ContainsFunc(others, func(x *op) bool { return x != o && x.T < o.done && x.outcome != "fail" })
	case "signOut", "revokeSession":
		return (o.code == "UNAUTHENTICATED" || o.code == "NOT_FOUND") && retry
	}
	return false
}

// ends judges that every subscription and connection that the server ended had a reason to.
func (v *Verdict) ends(r *Run, db *Database, w *when, s *subscriber, revoked map[string]int64) {
	justified := func(c *conn, why string, t int64) bool {
		switch why {
		case "UNAUTHENTICATED", "4401", "4403":
			at, ok := revoked[c.session]
			return ok && at < t
		case "UNAVAILABLE", "1012", "1013":
			return r.troubled(t)
		case "NOT_FOUND", "complete":
			// A node may be behind the log.
			return s.conv != "" && !w.throughout(db, s.user, s.conv, c.began-calming, t)
		}
		return false
	}
	for i, m := range s.moments {
		why := "complete"
		switch m.k {
		case refused:
			why = r.texts[m.typ]
		case completed:
			if justified(m.conn, "UNAUTHENTICATED", m.t) {
				continue
			}
		default:
			continue
		}
		if !justified(m.conn, why, m.t) {
			v.broken(Refused, (&walk{r: r, db: db, s: s}).excerpt(i), "subscriber %d (%s) was ended with %s, and nothing explains it", s.n, s.user, why)
		}
	}
	for _, c := range s.conns {
		if why := c.reason(); why != "" && !justified(c, why, c.closed) {
			v.broken(Refused, []string{c.line(), c.closing()}, "the connection of subscriber %d (%s) was ended with %s, and nothing explains it", s.n, s.user, why)
		}
	}
}

// revoked is when somebody first tried to end a session, by its id.
func (r *Run) revoked() map[string]int64 {
	out := map[string]int64{}
	for _, o := range r.order {
		if (o.Act == "signOut" || o.Act == "revokeSession") && out[o.ID] == 0 {
			out[o.ID] = o.T
		}
	}
	return out
}
