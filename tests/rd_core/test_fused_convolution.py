"""Convolutions with what follows them, against the same layers one by one."""

import pytest
import torch
from torch import nn

from rd_core.detectors.reverse_distillation.detector import ReverseDistillation
from rd_core.detectors.reverse_distillation.residual_block import BasicBlock, BottleneckBlock, LinearBlock
from rd_core.detectors.reverse_distillation.settings import ReverseDistillationSettings
from rd_core.features.efficientnet_lite import SamePaddedConv
from rd_core.kernels import fused_convolution
from rd_core.kernels.folding import fold_batch_norms
from rd_core.kernels.fused_convolution import Chain, convolve
from rd_core.kernels.one_by_one import layers_one_by_one

CONVOLUTIONS = {
    "3x3": lambda: nn.Conv2d(8, 8, 3, padding=1),
    "at stride 2": lambda: nn.Conv2d(8, 12, 3, stride=2, padding=1),
    "1x1": lambda: nn.Conv2d(8, 6, 1, bias=False),
    "depthwise": lambda: SamePaddedConv(8, 8, 3, groups=8),
    "padded unevenly": lambda: SamePaddedConv(8, 8, 5, stride=2, groups=8),
}


@pytest.fixture
def fused(monkeypatch):
    """What was fused, by name."""
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this build of torch has no oneDNN, so nothing is fused")
    names = []
    real = fused_convolution._fused

    def watched(convolution, x, plus, last):
        names.append(type(last).__name__ + (" of a sum" if plus is not None else ""))
        return real(convolution, x, plus, last)

    monkeypatch.setattr(fused_convolution, "_fused", watched)
    return names


def pictures(*shape, seed=0):
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 4
    return x.to(memory_format=torch.channels_last)


@pytest.mark.parametrize("kind", CONVOLUTIONS)
@pytest.mark.parametrize("activation", [nn.ReLU(), nn.ReLU6()])
@torch.no_grad()
def test_an_activation_is_the_same_behind_every_convolution(kind, activation, fused):
    convolution, x = CONVOLUTIONS[kind]().to(memory_format=torch.channels_last), pictures(2, 8, 20, 24)
    expected = activation(convolution(x))
    for found in (
        convolve(convolution, x, activation),
        convolve(convolution, x, nn.Identity(), activation=activation),
    ):
        torch.testing.assert_close(found, expected)
    assert fused == [type(activation).__name__] * 2
    assert (expected == 0).any()


@pytest.mark.parametrize("activation", [None, nn.ReLU(), nn.ReLU6()])
@torch.no_grad()
def test_a_sum_is_the_same(activation, fused):
    convolution, x, other = CONVOLUTIONS["3x3"](), pictures(2, 8, 20, 24), pictures(2, 8, 20, 24, seed=1)
    before = other.clone()
    expected = convolution(x) + other
    expected = activation(expected) if activation else expected
    found = convolve(convolution, x, nn.Identity(), plus=other, activation=activation)
    torch.testing.assert_close(found, expected)
    wanted = {"NoneType": ["Identity of a sum"], "ReLU": ["ReLU of a sum"], "ReLU6": []}  # which oneDNN does not know
    assert fused == wanted[type(activation).__name__]
    assert torch.equal(other, before)


def test_with_gradients_or_before_norms_are_folded_layers_run_one_by_one(fused):
    convolution, x = CONVOLUTIONS["3x3"](), pictures(2, 8, 4, 4)
    assert convolve(convolution, x, nn.ReLU()).requires_grad
    with torch.no_grad():
        convolve(convolution, x, nn.BatchNorm2d(8), activation=nn.ReLU())
        convolve(convolution, x, nn.BatchNorm2d(8), plus=x)
        convolve(convolution, x, nn.ReLU6(), plus=x)  # the activation is of the summand alone
        convolve(nn.ConvTranspose2d(8, 8, 2), x, nn.Identity(), activation=nn.ReLU())
        convolve(convolution, x, nn.Identity())
        with torch.autocast("cpu", torch.bfloat16):
            convolve(convolution, x, nn.ReLU())
    assert not fused


def test_a_graph_holds_layers_that_any_compiler_knows(fused):
    chain = Chain(nn.Conv2d(3, 4, 3), nn.Identity(), nn.ReLU())
    with torch.no_grad():
        program = torch.export.export(chain, (torch.randn(1, 3, 8, 8),))
    assert not fused
    assert "mkldnn" not in str(program.graph)


@pytest.mark.parametrize("norm", [nn.Identity(), nn.ReLU6(), nn.BatchNorm2d(4).eval()])
@torch.no_grad()
def test_a_chain_is_its_layers_in_a_row(norm):
    layers = nn.Conv2d(3, 4, 3), norm, nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 2, 1), nn.Identity()
    x = pictures(2, 3, 12, 12)
    torch.testing.assert_close(Chain(*layers)(x), nn.Sequential(*layers)(x))


@pytest.mark.parametrize(
    ("block", "wanted"),
    [
        (BasicBlock(8, 12, "down"), ["ReLU", "ReLU of a sum"]),
        (BasicBlock(8, 12, "up"), ["ReLU of a sum"]),  # transposed convolutions are not fused
        (BottleneckBlock(8, 12, 4, "down"), ["ReLU", "ReLU", "ReLU of a sum"]),
        (BottleneckBlock(8, 12, 4, "up"), ["ReLU", "ReLU of a sum"]),
        (LinearBlock(8), ["ReLU", "Identity of a sum"]),
    ],
)
@torch.no_grad()
def test_folded_blocks_are_the_same_and_fuse_all_they_can(block, wanted, fused):
    block, x = fold_batch_norms(block), pictures(2, 8, 12, 12)
    found = block(x)
    assert fused == wanted
    with layers_one_by_one():
        torch.testing.assert_close(found, block(x))


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("bfloat16", 0)])
def test_a_models_maps_are_those_of_layers_one_by_one(precision, tolerance, fused):
    torch.manual_seed(0)
    config = ReverseDistillationSettings(image_height=64, image_width=64, precision=precision)
    model = ReverseDistillation.build(config, pretrained=False).ready()
    images = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    found = model.detect(images)[0]
    if precision == "float32" or fused_convolution._has_bfloat16():
        assert len(fused) >= 22  # activations of the teacher
    count = len(fused)
    with layers_one_by_one():
        torch.testing.assert_close(found, model.detect(images)[0], rtol=tolerance, atol=tolerance)
    assert len(fused) == count
