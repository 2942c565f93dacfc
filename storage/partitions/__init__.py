"""What a run leaves of one day of one category: manifest, scores, maps, seal."""
