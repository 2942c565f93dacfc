"""Reverse Distillation (Deng & Li, CVPR 2022): pure computing, arrays in and arrays out."""
