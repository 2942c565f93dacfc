"""Verification of a store, and removal of left-overs."""
