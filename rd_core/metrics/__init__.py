"""Exact, mergeable metrics of maps, scores and decisions against labels and masks, in NumPy."""
