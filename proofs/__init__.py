"""What passes or fails at a size that tests do not have. Each module is a command: python -m proofs.<name> --help."""
