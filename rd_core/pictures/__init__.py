"""Images as arrays: resizing, statistics, comparison, synthetic defects."""
