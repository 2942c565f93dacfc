"""Prefect tasks, each in a file of its name, and what helps them: where storage, rd_core and the reports meet."""
