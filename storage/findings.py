"""Findings of a store's verification, with their cures."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One fault of a store, or a fact worth knowing."""

    what: str
    where: str
    """key"""
    consequence: str
    cure: str
    """a command, or an instruction"""
    wrong: bool = True
    """False: nothing is lost or misread"""
