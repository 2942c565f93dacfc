"""What an evaluation counts and writes."""
