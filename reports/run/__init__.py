"""The report of one inspection run."""
