"""The cloner: a plain network, narrower than the source, that learns to repeat the source's stages."""

from torch import Tensor, nn

from rd_core.features.backbone_spec import TeacherSpec

CONVOLUTIONS = (2, 3, 3, 3)
"""of each stage, those of VGG16 from its second pooling on"""


class Cloner(nn.Module):
    """The authors' cloner: VGG16 with narrow inner layers, whose stages end with the source's number of channels.

    Convolutions of 3 x 3 without bias; each but a stage's last has a batch norm; a stage ends with a pooling. Two
    deviations follow a source other than VGG16: the layers before the first pooling are one convolution of stride 2,
    if the source begins with one, since they would take most of the time; and the last convolution of a stage has no
    activation, if the source's has none.
    """

    def __init__(self, spec: TeacherSpec, width: int) -> None:
        super().__init__()
        stem = nn.Sequential(*_layer(3, width, stride=spec.first_stride))
        if spec.first_stride == 1:
            stem.extend([*_layer(width, width), nn.MaxPool2d(2)])
        self.stem = stem
        self.stages = nn.ModuleList()
        inputs = width
        for convolutions, outputs in zip(CONVOLUTIONS, (*spec.channels, spec.embedding_channels), strict=True):
            stage = nn.Sequential()
            for _ in range(convolutions - 1):
                stage.extend(_layer(inputs, width))
                inputs = width
            stage.append(_convolution(inputs, outputs))
            if not spec.linear:
                stage.append(nn.ReLU())
            stage.append(nn.MaxPool2d(2))
            self.stages.append(stage)
            inputs = outputs

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Maps (B, C_k, H/s, W/s) at s = 4, 8, 16, 32 of normalised images float32 (B, 3, H, W)."""
        features = []
        x = self.stem(images)
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return tuple(features)


def _layer(inputs: int, outputs: int, stride: int = 1) -> list[nn.Module]:
    return [_convolution(inputs, outputs, stride), nn.BatchNorm2d(outputs), nn.ReLU()]


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
