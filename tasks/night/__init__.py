"""The tasks of a night, from plan to seal, and the run report."""
