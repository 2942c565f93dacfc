"""How good the maps, scores and decisions are, against labels and masks: exact, mergeable, in numpy."""
