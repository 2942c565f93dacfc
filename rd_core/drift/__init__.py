"""Drift: a window of production days against the held-out normal images that set the threshold."""
