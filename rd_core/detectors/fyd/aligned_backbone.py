"""A backbone with a transformer on the image and one after each stage."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from rd_core.detectors.feature_detector import zeroed_stages
from rd_core.detectors.fyd.settings import FYDSettings
from rd_core.detectors.fyd.transformers import Transformer, composed, counted_after, warped
from rd_core.features.backbone import Teacher
from rd_core.kernels.precision import networks_in
from rd_core.pictures.counted_pixels import CountedPixels, zeroed

IMAGE_SIDE, STAGE_SIDE = 64, 16
"""rows and columns from which the image's and the stages' transformers predict"""
STAGE_SHARE = 0.25
"""of the image's bounds, those of a stage"""


class Aligned(NamedTuple):
    """What an aligned backbone makes of B images."""

    features: tuple[Tensor, ...]
    """float32 (B, C_k, H/s, W/s) at s = 4, 8, 16, zero at positions that do not count"""
    counted: CountedPixels | None
    """of the aligned frame: what shows ignored pixels of the image does not count; None: all of it does"""
    transform: Tensor
    """(B, 2, 3), from the aligned frame to the image: the mean of those of the three stages"""
    transforms: tuple[Tensor, ...]
    """(B, 2, 3), as the image's transformer and those of the stages predict them"""


class AlignedBackbone(nn.Module):
    """A copy of the teacher's stages that can be trained, with transformers between them."""

    def __init__(self, settings: FYDSettings, teacher: Teacher) -> None:
        super().__init__()
        self._precision = settings.precision
        bounds = settings.most_shift, settings.most_turn
        self.channels = teacher.channels
        self.stages = nn.ModuleList(teacher.stages)
        self.of_image = Transformer(3, IMAGE_SIDE, *bounds)
        self.of_stages = nn.ModuleList(
            Transformer(channels, STAGE_SIDE, *(STAGE_SHARE * bound for bound in bounds))
            for channels in teacher.channels
        )

    @property
    def device(self) -> torch.device:
        return self.of_image.bounds.device

    @property
    def transformers(self) -> list[Transformer]:
        """Of the image, then of the stages."""
        return [module for module in self.modules() if isinstance(module, Transformer)]

    def forward(self, images: Tensor, counted: CountedPixels | None = None) -> Aligned:
        """images: normalised, float32 (B, 3, H, W); what does not count is zeroed first."""
        x = zeroed(images, counted, 1)
        chain = self.of_image(x)
        x = warped(x, chain)
        transforms, chains, features = [chain], [], []
        for stage, transformer in zip(self.stages, self.of_stages, strict=True):
            with networks_in(self._precision, images.device):
                x = stage(x)
            x = x.float()
            transforms.append(transformer(x))
            x = warped(x, transforms[-1])
            chain = composed(chain, transforms[-1])
            features.append(x)
            chains.append(chain)
        middle = torch.stack(chains).mean(dim=0)
        seen = None if counted is None else CountedPixels(counted_after(counted.pixels, middle.detach()))
        return Aligned(zeroed_stages(tuple(features), seen), seen, middle, tuple(transforms))
