"""Reverse Distillation (Deng and Li, CVPR 2022)."""
