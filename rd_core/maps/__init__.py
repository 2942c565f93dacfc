"""From feature distances to anomaly maps, and from maps to defect regions."""
