"""The authors' networks written out as their code has them (names and order of layers), and loaded into ours."""

import pytest
import torch
from torch import nn

from rd_core.detectors.reverse_distillation.authors_checkpoint import authors_settings, load_authors_checkpoint
from rd_core.errors import CheckpointError
from rd_core.features.backbone import build_teacher


def conv(inputs, outputs, size, stride=1):
    return nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)


class TheirBasicBlock(nn.Module):
    def __init__(self, inputs, outputs, change=None):
        super().__init__()
        stride = 2 if change else 1
        up = change == "upsample"
        self.conv1 = nn.ConvTranspose2d(inputs, outputs, 2, 2, bias=False) if up else conv(inputs, outputs, 3, stride)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = conv(outputs, outputs, 3)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.change = change
        if change:
            around = nn.ConvTranspose2d(inputs, outputs, 2, 2, bias=False) if up else conv(inputs, outputs, 1, 2)
            setattr(self, change, nn.Sequential(around, nn.BatchNorm2d(outputs)))

    def forward(self, x):
        around = getattr(self, self.change)(x) if self.change else x
        return torch.relu(self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))) + around)


class TheirBottleneckBlock(nn.Module):
    def __init__(self, inputs, outputs, inner, change=None):
        super().__init__()
        up = change == "upsample"
        self.conv1, self.bn1 = conv(inputs, inner, 1), nn.BatchNorm2d(inner)
        self.conv2 = (
            nn.ConvTranspose2d(inner, inner, 2, 2, bias=False) if up else conv(inner, inner, 3, 2 if change else 1)
        )
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3, self.bn3 = conv(inner, outputs, 1), nn.BatchNorm2d(outputs)
        self.change = change
        if change:
            around = nn.ConvTranspose2d(inputs, outputs, 2, 2, bias=False) if up else conv(inputs, outputs, 1, 2)
            setattr(self, change, nn.Sequential(around, nn.BatchNorm2d(outputs)))

    def forward(self, x):
        around = getattr(self, self.change)(x) if self.change else x
        y = torch.relu(self.bn1(self.conv1(x)))
        y = torch.relu(self.bn2(self.conv2(y)))
        return torch.relu(self.bn3(self.conv3(y)) + around)


class TheirBottleneck(nn.Module):
    def __init__(self, widths, block, depth):
        super().__init__()
        one, two, three, four = widths
        self.bn_layer = nn.Sequential(
            block(3 * three, four, "downsample"), *(block(four, four) for _ in range(depth - 1))
        )
        self.conv1, self.bn1 = conv(one, two, 3, 2), nn.BatchNorm2d(two)
        self.conv2, self.bn2 = conv(two, three, 3, 2), nn.BatchNorm2d(three)
        self.conv3, self.bn3 = conv(two, three, 3, 2), nn.BatchNorm2d(three)
        self.conv4, self.bn4 = conv(2 * four, four, 1), nn.BatchNorm2d(four)

    def forward(self, features):
        first = torch.relu(self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(features[0]))))))
        second = torch.relu(self.bn3(self.conv3(features[1])))
        return self.bn_layer(torch.cat([first, second, features[2]], 1))


class TheirDecoder(nn.Module):
    def __init__(self, widths, block, depths):
        super().__init__()
        stages = list(zip(reversed(widths[1:]), reversed(widths[:-1]), depths, strict=True))
        for number, (inputs, outputs, depth) in enumerate(stages, 1):
            blocks = block(inputs, outputs, "upsample"), *(block(outputs, outputs) for _ in range(depth - 1))
            setattr(self, f"layer{number}", nn.Sequential(*blocks))

    def forward(self, embedding):
        a = self.layer1(embedding)
        b = self.layer2(a)
        return self.layer3(b), b, a


def theirs(teacher):
    """(bottleneck, decoder) as their code builds them for a teacher, with random weights and statistics."""
    torch.manual_seed(0)
    if teacher == "resnet18":
        widths, depths, depth = (64, 128, 256, 512), (2, 2, 2), 2

        def block(inputs, outputs, change=None):
            return TheirBasicBlock(inputs, outputs, change)
    else:
        widths, depths, depth = (256, 512, 1024, 2048), (3, 4, 6), 3

        def block(inputs, outputs, change=None):
            return TheirBottleneckBlock(inputs, outputs, outputs // 2, change)

    nets = TheirBottleneck(widths, block, depth), TheirDecoder(widths, block, depths)
    for net in nets:
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_mean, -0.5, 0.5)
                nn.init.uniform_(module.running_var, 0.5, 2)
    return tuple(net.eval() for net in nets)


def saved(path, nets):
    torch.save({"bn": nets[0].state_dict(), "decoder": nets[1].state_dict()}, path)
    return path


@pytest.mark.parametrize("teacher", ["resnet18", pytest.param("wide_resnet50_2", marks=pytest.mark.slow)])
def test_their_checkpoint_computes_what_their_networks_compute(tmp_path, teacher):
    nets = theirs(teacher)
    model = load_authors_checkpoint(
        saved(tmp_path / "their.pth", nets), authors_settings(teacher, 64), pretrained=False
    )
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    features = tuple(f.clone() for f in build_teacher(teacher, pretrained=False).teacher(images))
    with torch.no_grad():
        expected = nets[1](nets[0](features))
        result = model(features)
    for ours, wanted in zip(result, expected, strict=True):
        torch.testing.assert_close(ours, wanted, rtol=1e-4, atol=1e-4 * wanted.abs().max().item())


def test_another_teachers_checkpoint_is_refused_with_the_first_difference(tmp_path):
    file = saved(tmp_path / "their.pth", theirs("resnet18"))
    with pytest.raises(CheckpointError, match=r"does not fit efficientnet_lite0: .*No model was loaded"):
        load_authors_checkpoint(file, authors_settings("efficientnet_lite0", 64), pretrained=False)


@pytest.mark.parametrize("content", [{"bn": {}}, {"state_dict": {}}, []])
def test_a_file_without_their_tables_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match='no tables "bn" and "decoder"'):
        load_authors_checkpoint(tmp_path / "other.pth", authors_settings("resnet18", 64), pretrained=False)


def test_a_file_that_would_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("run",))

    torch.save({"bn": Evil(), "decoder": {}}, tmp_path / "evil.pth")
    with pytest.raises(CheckpointError, match="cannot be read as tables of tensors"):
        load_authors_checkpoint(tmp_path / "evil.pth", authors_settings("resnet18", 64), pretrained=False)
