"""From distances to anomaly maps, and from maps to regions."""
