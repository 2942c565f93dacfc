"""What a drift report counts and writes."""
