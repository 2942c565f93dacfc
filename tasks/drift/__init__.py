"""Computing and writing drift reports."""
