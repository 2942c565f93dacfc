"""Computing and writing evaluations."""
