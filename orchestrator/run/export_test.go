package run

// NewOfEachKind makes an empty event of each kind that the log knows, for tests.
func NewOfEachKind() map[string]Event {
	all := map[string]Event{}
	for name, empty := range kinds {
		all[name] = empty()
	}
	return all
}

// UsedUp returns how many times the allowance of a limit was used, for tests.
func (s *State) UsedUp(limit string) int { return s.usedUp(limit) }
