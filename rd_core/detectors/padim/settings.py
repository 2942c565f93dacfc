"""Settings of PaDiM and their defaults."""

from dataclasses import dataclass
from typing import ClassVar

from rd_core.detectors.gaussian_settings import GaussianSettings


@dataclass(frozen=True)
class PaDiMSettings(GaussianSettings):
    """Settings of PaDiM."""

    method: ClassVar[str] = "padim"
    title: ClassVar[str] = "PaDiM"

    standardise: bool = False
    """whether channels have variance 1, over all positions, before the ridge is added; False in the paper"""
