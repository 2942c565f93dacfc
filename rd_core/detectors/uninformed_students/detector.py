"""Uninformed Students as a detector."""

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self, cast

import torch
from torch import Tensor, nn

from rd_core.detectors.detector import Detection, Detector, FitProgress, FitReport, FitRun, Normals
from rd_core.detectors.uninformed_students.ensemble import Ensemble
from rd_core.detectors.uninformed_students.general_images import SIDE, GeneralImages
from rd_core.detectors.uninformed_students.kept_images import KeptImages
from rd_core.detectors.uninformed_students.learning import Learning
from rd_core.detectors.uninformed_students.settings import UninformedStudentsSettings
from rd_core.detectors.uninformed_students.teacher import Distillation
from rd_core.features.backbone import Pretrained, Teacher, build_teacher
from rd_core.features.backbone_spec import teacher_spec
from rd_core.features.standardisation import require_counted_in
from rd_core.maps.assembly import MapAssembly
from rd_core.pictures.counted_pixels import CountedPixels, image_means, zeroed
from rd_core.pictures.images import Images
from rd_core.pictures.preprocessing import Normalisation


class UninformedStudents(Detector[UninformedStudentsSettings]):
    """Students that repeat a teacher's descriptors of normal patches alone (Bergmann et al., CVPR 2020).

    For each scale a teacher embeds patches as the backbone does (distillation, triplet and compactness losses), and
    students learn its descriptors of the normals. The map is the mean over the scales of regression error and
    predictive variance, each over its deviation on held-out normals. A model holds these networks and no backbone.

    Measured at 256 x 256, one core: a fit takes 150 processor seconds, 930 MiB beside the program's 700, and hardly
    longer for more normals; scoring takes 4.1 GMAC an image, 6.5 images a second, with 960 MiB. A model has 1.9 MiB.

    It deviates from the paper:

    - Size: an eighth of the channels (`width`), scales 33 and 65 without 17, a comparison at every fourth pixel
      (`stride`), and far fewer and faster steps. The paper's networks take 480 times as many multiplications an
      image, and 5,000 times as many for a fit.
    - Teachers learn from `general_images`, else from the normals, where the paper has ImageNet: such a teacher knows
      less of what no normal shows.
    - The backbone's descriptor of a patch is the mean of its second and third stages, each channel standardised, of
      the patch at 64 x 64 pixels; the paper has the last layer of a ResNet-18.
    - The sum of the compactness loss is of squared correlations, as in L2-Net: signed ones would cancel each other.
      The loss has a weight of 0.01, because a sum over all pairs of components would outweigh the other two.
    - The means of regression error and variance are not subtracted: a constant, without which no map is negative.
    - Borders are mirrored.
    - The networks are those of the paper for each scale. Its table for 65 pixels has a fifth convolution of 3 x 3,
      which 1 x 1 positions cannot have: it is 1 x 1.
    """

    Settings = UninformedStudentsSettings
    name = Settings.method

    def __init__(
        self, settings: UninformedStudentsSettings, backbone: Callable[[], Pretrained] | None = None
    ) -> None:
        """backbone: builds it for a fit."""
        super().__init__(settings)
        self._backbone = backbone
        spec = teacher_spec(settings.teacher)
        self.normalisation = Normalisation(spec.mean, spec.std)
        ensembles = nn.ModuleList(Ensemble(settings, scale) for scale in settings.scales)
        self.ensembles = cast(Sequence[Ensemble], ensembles)  # a ModuleList tells no type of its items
        self.assembly = MapAssembly(
            *self.image_size, settings.smoothing_sigma, (settings.stride,), map_stride=settings.map_stride
        )
        self.to(memory_format=torch.channels_last)

    @classmethod
    def build(
        cls, settings: UninformedStudentsSettings, *, teacher_weights: Path | None = None, pretrained: bool = True
    ) -> Self:
        """See `Detector.build`. The backbone is built by the fit, which alone needs it and raises its errors."""
        return cls(settings, partial(build_teacher, settings.teacher, weights=teacher_weights, pretrained=pretrained))

    @property
    def map_values(self) -> str:
        """See `Detector.map_values`."""
        scales = " and ".join(map(str, self.settings.scales))
        return (
            "squared distance of the students' mean from the teacher's descriptor, plus the students' variance, each "
            f"in its standard deviations on held-out normals; mean over patches of {scales} pixels"
        )

    def networks(self) -> Iterable[nn.Module]:
        """See `Detector.networks`."""
        return [network for one in self.ensembles for network in (one.teacher, *one.students)]

    @torch.inference_mode()
    def detect(self, images: Tensor, counted: Tensor | None = None) -> Detection:
        """See `Detector.detect`."""
        pixels = None if counted is None else CountedPixels(counted.to(self.device))
        shown, stride = self.shown(images, pixels), self.settings.stride
        distances, moved = [], []
        for ensemble in self.ensembles:
            padded = ensemble.bordered(shown)
            targets = ensemble.targets(padded)
            distances.append(ensemble.distances(targets, ensemble.predictions(padded)))
            moved.append(image_means(zeroed(targets, pixels, stride), pixels, stride).square().mean(dim=1))
        apart = zeroed(torch.stack(distances).mean(dim=0), pixels, stride)
        maps = zeroed(self.map_scale * self.assembly((apart,)), pixels, self.settings.map_stride)
        return Detection(maps, maps.amax(dim=(1, 2)), torch.stack(moved).mean(dim=0).sqrt())

    def shown(self, images: Tensor, counted: CountedPixels | None) -> Tensor:
        """The networks' input (B, 3, H, W) from uint8 (B, H, W, 3): normalised, and 0 at ignored pixels, which the
        patches of other positions see too."""
        return zeroed(self.normalisation(images.to(self.device)), counted, 1)

    def fit(self, normals: Normals, run: FitRun) -> FitReport:
        """See `Detector.fit`: teachers, then students, then the deviations on the early-stop normals. Raises
        ConfigError for general images that are missing, or normals of which nothing counts."""
        settings = self.settings
        settings.refuse_unavailable()
        require_counted_in(normals.train)
        general = (
            GeneralImages(Path(settings.general_images), settings.general_files(), settings.seed)
            if settings.general_images is not None
            else None
        )
        backbone = self._built_backbone()
        train, early_stop, learnt_from = self._kept(normals, general, run)
        learning = Learning(settings, train, early_stop, self._shown_of)
        distillation = Distillation(settings, backbone, self.normalisation, learnt_from, self.device)
        teachers, students = {}, {}
        told = _Told(run, "distillation", settings.teacher_steps * len(settings.scales))
        for ensemble in self.ensembles:
            teachers[str(ensemble.scale)] = distillation.train(ensemble.teacher, told)
        told = _Told(run, "steps", settings.student_steps * len(settings.scales))
        for ensemble in self.ensembles:
            learning.measure_teacher(ensemble)
            loss = learning.train_students(ensemble, told)
            students[str(ensemble.scale)] = {"loss": loss, **learning.measure_students(ensemble)}
        self.fit_map_scale(normals.early_stop)
        source: dict[str, Any] | str = general.figures if general else "the normals, strongly augmented"
        figures = {
            "teachers_learnt_from": source,
            "teachers": teachers,
            "students": students,
            "gigamultiplications": {
                "fit": settings.fit_multiplications(len(train), len(early_stop)) / 1e9,
                "image": settings.image_multiplications() / 1e9,
            },
        }
        of = "general images" if general else "the normals: no general_images were given"
        return FitReport(f"{settings.student_steps} steps a scale, teachers of {of}", figures)

    def _built_backbone(self) -> Teacher:
        if self._backbone is None:
            raise ValueError("a detector without its backbone cannot be fitted. Make it with build().")
        return self._backbone().teacher.to(self.device)

    def _shown_of(self, images: KeptImages, numbers: Sequence[int]) -> tuple[Tensor, CountedPixels | None]:
        counted = images.counted(numbers)
        counted = None if counted is None else counted.to(self.device)
        return self.shown(torch.from_numpy(images.pixels(numbers)), counted), counted

    def _kept(self, normals: Normals, general: Images | None, run: FitRun) -> tuple[KeptImages, ...]:
        """The training, early-stop and teachers' images, read once."""
        sets = [(normals.train, self.image_size), (normals.early_stop, self.image_size)]
        sets += [(general, (SIDE, SIDE))] if general is not None else []
        told = _Told(run, "features", sum(len(images) for images, _ in sets))
        most = self.settings.feature_cache_bytes // len(sets)
        kept = [KeptImages(images, own, most, told) for images, own in sets]
        return kept[0], kept[1], kept[-1] if general is not None else kept[0]


class _Told:
    """Reports one image or step of a phase whenever it is called."""

    def __init__(self, run: FitRun, phase: Literal["features", "distillation", "steps"], total: int) -> None:
        self._run, self._phase, self._total, self._done = run, phase, total, 0
        self._began = time.monotonic()

    def __call__(self, loss: float | None = None) -> None:
        self._done += 1
        seconds = time.monotonic() - self._began
        self._run.report(FitProgress(self._phase, self._done, self._total, loss, seconds=seconds))
