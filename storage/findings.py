"""What a look at a store finds wrong, and what mends it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that is not as the store promises, or that is worth knowing."""

    what: str
    where: str
    """key"""
    consequence: str
    cure: str
    """a command, or what to do by hand"""
    wrong: bool = True
    """False: nothing is lost or misread because of it"""
