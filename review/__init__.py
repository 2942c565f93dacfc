"""The review page: people look at what was flagged, and say what it is."""
