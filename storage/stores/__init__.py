"""Stores: a local folder, S3, and their common parts."""
