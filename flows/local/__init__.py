"""Work that needs neither server nor cluster."""
