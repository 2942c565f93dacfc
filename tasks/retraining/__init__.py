"""A candidate, from new normals to the gate."""
