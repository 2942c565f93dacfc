"""The student: the teacher mirrored, from the embedding back to the teacher's feature maps."""

from torch import Tensor, nn

from rd_core.detectors.reverse_distillation.residual_block import initialise, linear_upsampling_stage, residual_stage
from rd_core.features.backbone_spec import TeacherSpec


class Student(nn.Module):
    """Three residual stages, each begun by a transposed 2x2 convolution at stride 2.

    EfficientNet-Lite's stages end without activation, and so do those of its student. Their inverted residuals are
    not mirrored: depthwise convolutions are bound by memory. At 128x128, one seed, plain 3x3 ones of the stage's
    width took 0.77 of the time of a step, with a held-out loss 3 % higher after the same steps.

    Features that were standardised have both signs, while a residual stage ends in a ReLU: with `signed` each
    stage gets a 1x1 convolution to its output, off the path to the next stage.
    """

    def __init__(self, spec: TeacherSpec, *, signed: bool) -> None:
        super().__init__()
        widths = (spec.embedding_channels, *reversed(spec.channels))
        self.stages = nn.ModuleList(_stage(spec, widths[i], widths[i + 1], spec.student_depths[i]) for i in range(3))
        self.heads = nn.ModuleList(
            nn.Conv2d(width, width, kernel_size=1) if signed else nn.Identity() for width in widths[1:]
        )
        initialise(self)

    def forward(self, embedding: Tensor) -> tuple[Tensor, ...]:
        """(B, embedding channels, H/32, W/32) -> maps in the teacher's order and shapes."""
        outputs = []
        x = embedding
        for stage, head in zip(self.stages, self.heads, strict=True):
            x = stage(x)
            outputs.append(head(x))
        return tuple(reversed(outputs))


def _stage(spec: TeacherSpec, inputs: int, outputs: int, depth: int) -> nn.Module:
    if spec.linear:
        return linear_upsampling_stage(inputs, outputs, depth)
    return residual_stage(inputs, outputs, depth, spec.narrowing, "up")
