"""What Reverse Distillation takes from the training normals' features without descent: standardisation, whitening."""

import torch

from rd_core.detectors.feature_sources import counted_on
from rd_core.detectors.reverse_distillation.model import TeacherAndStudent
from rd_core.features.cache import FeatureSource, in_order
from rd_core.features.cells import CellMoments
from rd_core.features.standardisation import Moments


@torch.no_grad()
def fit_moments(model: TeacherAndStudent, train: FeatureSource) -> None:
    """Set standardisation and whitening by these images."""
    moments = Moments()
    of_cells = [CellMoments(discriminator.side) for discriminator in model.discriminators]
    for indices, features in in_order(train):
        some, counted = tuple(stage.to(model.device) for stage in features), counted_on(model.device, train, indices)
        moments.add(some, counted)
        for own in of_cells:
            own.add(some, counted)
    if model.settings.standardise:
        model.standardisation.fit(moments)
    for discriminator, own in zip(model.discriminators, of_cells, strict=True):
        discriminator.fit(own)
