"""Measurements, each a command (python -m benchmarks.<name> --help); their records, and the pages made of these."""
