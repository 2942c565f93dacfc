"""Files of labels that people bring or keep: read, checked, and held against the images there are."""
