"""SPADE (Cohen and Hoshen, 2020)."""
