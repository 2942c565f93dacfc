"""Training of the transformers, and of the backbone between them."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rd_core.detectors.batches import full_batches
from rd_core.detectors.detector import FitProgress, Normals
from rd_core.detectors.finite_loss import finite_loss
from rd_core.detectors.fyd.aligned_backbone import IMAGE_SIDE, Aligned, AlignedBackbone
from rd_core.detectors.fyd.collapse import check_spreads, check_transforms, spreads
from rd_core.detectors.fyd.losses import Heads, alignment_loss
from rd_core.detectors.fyd.settings import FYDSettings
from rd_core.detectors.fyd.transformers import WHOLE, Transformer, aligned, inside
from rd_core.features.backbone import STRIDES
from rd_core.pictures.counted_pixels import CountedPixels
from rd_core.pictures.images import Images, SomeImages

QUICKER = 10.0
"""learning rate of transformers and heads over the backbone's"""
PULL = 1.0
"""weight of a batch's mean transform, squared, in shares of the bounds: pairs leave open where their frame lies"""
MOVED = 0.5
"""of the bounds, within which small copies are moved at random to learn from: few normals lie in few places"""
MOST_SMALL = 1024
"""training images from whose small copies the image's transformer learns first: 50 KB each"""
MOST_CHECKED = 16
"""early-stop images that a collapse is looked for in"""
CHECKS = 4
"""times in the steps"""
ALIGNED = 0.98
"""of the held-out images' difference from the mean image: what alignment must come below, or it is forgotten"""

Load = Callable[[Images, int], Iterator[tuple[Tensor, CountedPixels | None]]]
"""batches of so many images, normalised, and what counts of them"""


@dataclass(frozen=True)
class FineTuning:
    """What a training needs."""

    settings: FYDSettings
    backbone: AlignedBackbone
    normals: Normals
    load: Load
    report: Callable[[FitProgress], None]

    def run(self) -> dict[str, Any]:
        """Train in place; figures for the card. Raises TrainingDiverged or TrainingCollapsed."""
        began = time.monotonic()
        total = self.settings.alignment_steps + self.settings.steps

        def tell(done: int, loss: float) -> None:
            finite_loss(loss, done, f"Train with a learning_rate below {self.settings.learning_rate:g}.")
            self.report(FitProgress("steps", done, total, loss=loss, seconds=time.monotonic() - began))

        self.backbone.requires_grad_(True)
        figures = self._align(tell) if self.settings.alignment_steps else {}
        figures |= self._tune(tell) if self.settings.steps else {}
        self.backbone.requires_grad_(False)
        return figures

    def _align(self, tell: Callable[[int, float], None]) -> dict[str, Any]:
        """Train the image's transformer alone; for good the identity if it does not align held-out images."""
        steps, transformer = self.settings.alignment_steps, self.backbone.of_image
        images, counted = self._small(self.normals.train)
        optimiser = torch.optim.Adam(transformer.parameters(), QUICKER * self.settings.learning_rate)
        size = min(2 * self.settings.batch_size, len(images))
        for step, some in enumerate(_shuffled(len(images), size, steps), 1):
            _slow_down(optimiser, step, steps)
            moved, seen = _moved(images[some], counted[some], transformer)
            transforms = transformer(moved)
            loss = alignment_loss(moved, seen, transforms) + _pull([transformer], [transforms])
            _descend(optimiser, loss)
            tell(step, float(loss.detach()))
        learnt, held = (images, counted), self._small(self.normals.early_stop)
        with torch.no_grad():
            before = _difference(learnt, held)
            after = _difference(*(aligned(*some, transformer(some[0])) for some in (learnt, held)))
        kept = after < ALIGNED * before
        if not kept:
            transformer.forget()
            transformer.requires_grad_(False)
        return {"difference": before, "difference_aligned": after, "aligned": kept}

    def _small(self, images: Images) -> tuple[Tensor, Tensor]:
        """`_small_copies` of MOST_SMALL of the images, evenly chosen."""
        chosen = np.unique(np.linspace(0, len(images) - 1, min(len(images), MOST_SMALL)).astype(int)).tolist()
        loaded = self.load(SomeImages(images, chosen), self.settings.batch)
        small, counted = zip(*(_small_copies(*batch) for batch in loaded), strict=True)
        return torch.cat(small), torch.cat(counted)

    def _tune(self, tell: Callable[[int, float], None]) -> dict[str, Any]:
        """Train everything."""
        settings, backbone, steps = self.settings, self.backbone, self.settings.steps
        heads = nn.ModuleList(Heads(channels) for channels in backbone.channels)
        heads.to(backbone.device).train()
        quick = [*backbone.of_image.parameters(), *backbone.of_stages.parameters(), *heads.parameters()]
        rate = settings.learning_rate
        optimiser = torch.optim.Adam(
            [{"params": list(backbone.stages.parameters()), "lr": rate}, {"params": quick, "lr": QUICKER * rate}]
        )
        untrained = now = _mean_spreads(self._held_out())
        count = len(self.normals.train)
        size = min(settings.batch, count)
        order = [number for some in _shuffled(count, size, steps) for number in some]
        batches = self.load(SomeImages(self.normals.train, order), size)
        value = 0.0
        for step, (images, counted) in enumerate(batches, 1):
            _slow_down(optimiser, step, steps)
            loss = self._loss(images, counted, heads)
            _descend(optimiser, loss)
            value = float(loss.detach())
            tell(settings.alignment_steps + step, value)
            if step * CHECKS // steps > (step - 1) * CHECKS // steps:
                now = self._checked(untrained)
        return {"loss": value, "spread_untrained": untrained, "spread": now}

    def _loss(self, images: Tensor, counted: CountedPixels | None, heads: nn.ModuleList) -> Tensor:
        found = self.backbone(images, counted)
        similar = []
        for head, features, stride in zip(heads, found.features, STRIDES, strict=True):
            seen = inside(found.transform.detach(), *features.shape[2:])
            similar.append(head(features, seen if found.counted is None else seen & found.counted.on_grid(stride)))
        apart = alignment_loss(*_small_copies(images, counted), found.transforms[0])
        pull = _pull(self.backbone.transformers, found.transforms)
        return torch.stack(similar).mean() + self.settings.alignment_weight * apart + pull

    @torch.no_grad()
    def _held_out(self) -> list[Aligned]:
        """What the backbone makes of early-stop images, in batches."""
        images = self.normals.early_stop
        chosen = SomeImages(images, range(min(len(images), MOST_CHECKED)))
        return [self.backbone(some, counted) for some, counted in self.load(chosen, self.settings.batch)]

    def _checked(self, untrained: list[float]) -> list[float]:
        """Spreads of the features of early-stop images. Raises TrainingCollapsed."""
        found = self._held_out()
        now = _mean_spreads(found)
        check_spreads(now, untrained)
        transforms = zip(*(one.transforms for one in found), strict=True)
        check_transforms(self.backbone, [torch.cat(own) for own in transforms])
        return now


def _mean_spreads(found: list[Aligned]) -> list[float]:
    """Of each stage, the mean over the batches."""
    means: list[float] = np.mean([spreads(one) for one in found], axis=0).tolist()
    return means


def _small_copies(images: Tensor, counted: CountedPixels | None) -> tuple[Tensor, Tensor]:
    """Copies float32 (B, 3, IMAGE_SIDE, IMAGE_SIDE) of normalised images, 0 where ignored, and their points of which
    all counts, bool (B, IMAGE_SIDE, IMAGE_SIDE)."""
    if counted is None:
        small = F.adaptive_avg_pool2d(images, IMAGE_SIDE)
        return small, torch.ones_like(small[:, 0], dtype=torch.bool)
    shares = F.adaptive_avg_pool2d(counted.pixels.float()[:, None], IMAGE_SIDE)[:, 0]
    return F.adaptive_avg_pool2d(images * counted.pixels[:, None], IMAGE_SIDE), shares > WHOLE


def _difference(learnt: tuple[Tensor, Tensor], held: tuple[Tensor, Tensor]) -> float:
    """Mean square difference of held-out images from the mean of the learnt ones. Both: images float32 (n, 3, h, w),
    and their points that count, bool (n, h, w)."""
    (images, seen), (others, known) = learnt, held
    mean = (images * seen[:, None]).sum(dim=0) / seen.sum(dim=0).clamp_min(1)
    known = known & seen.any(dim=0)
    apart = (others - mean).square().mean(dim=1)
    return float((apart * known).sum() / known.sum().clamp_min(1))


def _moved(images: Tensor, counted: Tensor, transformer: Transformer) -> tuple[Tensor, Tensor]:
    """Images and what counts of them, moved at random within MOVED of the bounds."""
    shares = MOVED * (2 * torch.rand(len(images), 2, 3) - 1).to(images.device)
    return aligned(images, counted, transformer.identity + transformer.bounds * shares)


def _shuffled(count: int, size: int, steps: int) -> Iterator[list[int]]:
    """Numbers [size] of images for each of the steps, from a new random order whenever one is used up."""
    return islice(full_batches(size, lambda: torch.randperm(count).tolist()), steps)


def _pull(transformers: list[Transformer], transforms: tuple[Tensor, ...] | list[Tensor]) -> Tensor:
    shares = [one.shares(own).mean(dim=0).square().sum() for one, own in zip(transformers, transforms, strict=True)]
    return PULL * torch.stack(shares).sum()


def _slow_down(optimiser: torch.optim.Optimizer, step: int, steps: int) -> None:
    """Set learning rates that fall to 0 along a cosine."""
    for group in optimiser.param_groups:
        group.setdefault("first", group["lr"])
        group["lr"] = group["first"] * 0.5 * (1 + math.cos(math.pi * (step - 1) / steps))


def _descend(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_([weight for group in optimiser.param_groups for weight in group["params"]], 1.0)
    optimiser.step()
