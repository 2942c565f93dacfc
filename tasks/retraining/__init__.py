"""Retraining: from new normals to the gate."""
