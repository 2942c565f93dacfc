"""Prefect flows and the command line: orchestration, and the only readers of settings."""
