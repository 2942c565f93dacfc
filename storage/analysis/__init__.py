"""What analysts ask: SQL over the scores, merged days, tables of benchmarks."""
