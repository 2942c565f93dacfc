"""Questions to a whole store: its grid of days, SQL over the scores, merged days, benchmarks."""
