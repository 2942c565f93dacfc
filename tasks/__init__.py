"""Prefect tasks, each in a file of its name, and their helpers: the layer that joins storage, rd_core and reports."""
