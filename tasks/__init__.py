"""Prefect tasks, one a file: where storage, the RD core and the reports meet."""
