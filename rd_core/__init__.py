"""Anomaly detection methods, and statistics of their scores and maps: arrays in, arrays out."""
