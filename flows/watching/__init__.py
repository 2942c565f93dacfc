"""What a run tells whoever watches it: bars, metrics, events, artifacts, ends."""
