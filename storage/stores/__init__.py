"""Stores: a local folder, S3, and what both do alike."""
