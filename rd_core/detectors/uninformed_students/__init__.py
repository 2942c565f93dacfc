"""Uninformed Students (Bergmann et al., CVPR 2020)."""
