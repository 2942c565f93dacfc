"""Servers, clusters and processes that a run needs."""
