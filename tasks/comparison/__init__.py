"""Comparing methods on a category's own labelled images."""
