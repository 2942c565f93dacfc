"""Image files' bytes: kinds, grey levels, headers and masks."""
