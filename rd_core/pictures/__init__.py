"""Images as arrays: brought to size, described, compared, and given synthetic defects."""
