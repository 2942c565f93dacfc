"""Anomaly detection methods and what is computed from their scores and maps: arrays in, arrays out."""
