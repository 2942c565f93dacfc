"""The index page, computed from the store."""
