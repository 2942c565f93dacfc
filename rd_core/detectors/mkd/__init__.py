"""Multiresolution Knowledge Distillation (Salehi et al., CVPR 2021)."""
