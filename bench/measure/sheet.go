package measure

import "time"

// Sheet holds the figures of one scenario on one journal. It also says how many rounds
// of measuring there are.
type Sheet struct {
	Scenario, Journal string
	// Rounds of a figure beside its ceilings.
	Rounds int
	// Budget is the time after which there is only one round: what is left must be
	// measured too, however slow the machine is. 0 is never.
	Budget time.Duration
	// Begun is when the scenario began.
	Begun time.Time
	// Figures are those reported so far.
	Figures []Figure
}

// Another reports whether there is a further round.
func (s *Sheet) Another(round int) bool {
	late := s.Budget > 0 && time.Since(s.Begun) > s.Budget
	return round < s.Rounds && (round == 0 || !late)
}

// Value reports a figure that has neither a ceiling nor rounds.
func (s *Sheet) Value(m Metric, value float64) {
	s.report(m, Figure{Value: value}, value)
}

// Middle reports the median of the rounds of a figure that has no ceiling.
func (s *Sheet) Middle(m Metric, rounds []float64) {
	value := median(rounds, Identity)
	s.report(m, Figure{Value: value}.among(rounds), value)
}

// Against reports a figure with its ceiling: of all rounds the one with the median
// ratio.
func (s *Sheet) Against(m Metric, rounds []Comparison) {
	c := median(rounds, Comparison.ratio)
	f := Figure{Value: c.Ours}
	if c.Ceiling <= 0 { // nothing to divide by, so nothing to judge
		m.Aim = None
		s.report(m, f, 0)
		return
	}
	ratio := c.ratio()
	f.Ceiling, f.Ratio = &c.Ceiling, &ratio
	ratios := make([]float64, len(rounds))
	for i := range rounds {
		ratios[i] = rounds[i].ratio()
	}
	s.report(m, f.among(ratios), ratio)
}

func (s *Sheet) report(m Metric, f Figure, judged float64) {
	f.Scenario, f.Journal, f.Metric, f.Is, f.Unit = s.Scenario, s.Journal, m.Name, m.Is, m.Unit
	if f.direction = m.Aim.direction; f.direction != "" {
		met := m.Aim.met(judged)
		f.Aim, f.Met = &m.Aim.bound, &met
	}
	s.Figures = append(s.Figures, f)
}
