"""What a run reports to those who watch it: bars, metrics, events, artifacts, final states."""
