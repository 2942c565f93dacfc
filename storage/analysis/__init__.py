"""What a whole store tells: its grid of days, SQL over the scores, merged days, benchmarks."""
