"""Training a model version from labelled normals."""
