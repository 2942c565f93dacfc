"""Reverse Distillation as a detector."""

from rd_core.detectors.detector import FitReport, FitRun, Normals
from rd_core.detectors.reverse_distillation.model import TeacherAndStudent
from rd_core.detectors.reverse_distillation.training import fit


class ReverseDistillation(TeacherAndStudent):
    """Reverse Distillation (Deng and Li, CVPR 2022)."""

    continues = True

    def fit(self, normals: Normals, run: FitRun) -> FitReport:
        """See `Detector.fit` and `rd_core.detectors.reverse_distillation.training.fit`."""
        return fit(self, normals, run)
