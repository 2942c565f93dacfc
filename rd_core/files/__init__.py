"""Tensors and unfinished trainings as bytes."""
