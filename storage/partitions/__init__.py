"""The results of one category's day: manifest, scores, maps, seal."""
