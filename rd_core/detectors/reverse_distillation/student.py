"""The student: the mirrored teacher, from the embedding to the teacher's feature maps."""

from torch import Tensor, nn

from rd_core.detectors.reverse_distillation.residual_block import initialise, linear_upsampling_stage, residual_stage
from rd_core.features.backbone_spec import TeacherSpec


class Student(nn.Module):
    """Three residual stages, each begun by a transposed 2x2 convolution at stride 2.

    For EfficientNet-Lite, plain 3x3 blocks without a final activation replace its inverted residuals. With `signed`,
    for standardised features, each stage's output, but not its path to the next stage, gets a 1x1 convolution after
    the ReLU.
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
        """Feature maps in the teacher's order and shapes, from the embedding (B, embedding channels, H/32, W/32)."""
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
