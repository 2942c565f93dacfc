"""From held-out normals to thresholds."""
