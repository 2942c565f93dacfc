"""How the default map came about. Each module is a command: python -m research.<name> --help."""
