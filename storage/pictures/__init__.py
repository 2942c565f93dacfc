"""What bytes of image files are: kinds, levels, headers, and masks."""
