"""Labels: stored, imported, and checked against the images."""
