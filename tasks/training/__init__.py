"""A model version from labelled normals."""
