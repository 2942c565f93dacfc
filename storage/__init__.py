"""Bytes, numpy arrays and tables at rest: local folders and S3. No torch, no Prefect."""
