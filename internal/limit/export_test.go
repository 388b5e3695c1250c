package limit

// Users is how many are remembered now.
func (s *Sends) Users() int {
	if s == nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buckets.len()
}
