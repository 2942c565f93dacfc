"""A small generated factory: images, defects, masks, drifting light and broken files."""
