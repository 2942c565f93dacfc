"""Tensors and training states as bytes."""
