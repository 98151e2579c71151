// Package measure turns samples into figures: it measures a sample of ours between samples
// of its ceiling, round after round, divides ours by the mean of its two neighbours, takes
// the median round, and prints the figures with the machine that they come from.
//
//	rounds, err := measure.Beside(sheet, ours, ceiling)
//	…
//	sheet.Against(measure.Metric{
//		Name: "append-vs-copy", Unit: "events/s",
//		Is: "events appended per second, divided by rows/s of COPY",
//	}, measure.Compared(rounds[0], measure.Identity))
//
// A ceiling is the best that the same machine can do. The package knows nothing of journals.
package measure
