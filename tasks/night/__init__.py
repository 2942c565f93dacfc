"""A batch's way, from plan to seal, and the run's report."""
