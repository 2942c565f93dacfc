"""Computation of single layers."""
