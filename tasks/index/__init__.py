"""The index page, from what lies in the store."""
