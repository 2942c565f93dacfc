"""Proofs that pass or fail at sizes beyond the tests. Each module is a command: python -m proofs.<name> --help."""
