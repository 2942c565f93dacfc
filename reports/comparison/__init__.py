"""The report of a comparison of methods on one's own images."""
