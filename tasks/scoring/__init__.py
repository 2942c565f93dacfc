"""Scoring pictures, in a night and by hand. No tasks."""
