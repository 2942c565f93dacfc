"""Thresholds from held-out normal images."""
