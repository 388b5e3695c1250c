package graph

// textOrNull is null for a text that is not there.
func textOrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
