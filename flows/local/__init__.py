"""What needs neither server nor cluster."""
