"""3x3 convolutions by fewer multiplications, against torch's own in float64."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from rd_core.detectors.reverse_distillation.detector import ReverseDistillation
from rd_core.detectors.reverse_distillation.settings import ReverseDistillationSettings
from rd_core.kernels.folding import fold_batch_norms
from rd_core.kernels.fused_convolution import convolve
from rd_core.kernels.one_by_one import layers_one_by_one
from rd_core.kernels.winograd import LEAST_CHANNELS, WinogradConvolution, with_fewer_multiplications
from tests.examples import examples


def wide(inputs=96, outputs=96, *, bias=True, seed=0):
    torch.manual_seed(seed)
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)


def pictures(*shape, seed=0):
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return x.to(memory_format=torch.channels_last)


def exactly(convolution, x, plus=0, activation=None):
    """In float64, by torch."""
    y = copy.deepcopy(convolution).double()(x.double()) + plus
    return activation(y) if activation else y


def rounding(found, exact):
    """The root mean square difference, of the exact values' own."""
    return float((found - exact).square().mean().sqrt() / exact.square().mean().sqrt())


@given(
    images=st.integers(1, 20),
    height=st.integers(3, 21),
    width=st.integers(3, 21),
    channels=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    bias=st.booleans(),
    seed=st.integers(0, 1000),
)
@examples(60)
@torch.no_grad()
def test_it_is_the_convolution_at_any_size(images, height, width, channels, bias, seed):
    convolution, x = wide(*channels, bias=bias, seed=seed), pictures(images, channels[0], height, width, seed=seed)
    found = WinogradConvolution(convolution).followed(x)
    assert found.shape == (images, channels[1], height, width)
    torch.testing.assert_close(found.double(), exactly(convolution, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [(16, 8, 8), (3, 32, 32), (1, 65, 130), (1, 8, 1100)])
@torch.no_grad()
def test_it_rounds_hardly_more_than_the_convolution(size):
    images, height, width = size
    convolution, x = wide(128, 160), pictures(images, 128, height, width).relu()
    exact, fast = exactly(convolution, x), WinogradConvolution(convolution)
    assert fast.pays(x)
    assert rounding(fast(x), exact) < 1e-6
    assert rounding(fast(x), exact) < 5 * rounding(convolution(x), exact)


@pytest.mark.parametrize("activation", [nn.Identity(), nn.ReLU(), nn.ReLU(inplace=True), nn.ReLU6()])
@pytest.mark.parametrize("side", [16, 13])
@torch.no_grad()
def test_what_follows_is_the_same(activation, side):
    convolution, x = wide(), pictures(2, 96, side, side)
    plus = pictures(2, 96, side, side, seed=1) * 8
    before = plus.clone()
    found = WinogradConvolution(convolution).followed(x, plus=plus, by=activation)
    expected = exactly(convolution, x, plus, copy.deepcopy(activation))
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(plus, before)


@torch.no_grad()
def test_a_block_is_computed_by_fewer_multiplications():
    """`convolve` hands over to it, with a sum, an activation, and one that a folded norm left behind."""
    x, relu = pictures(2, 96, 16, 16), nn.ReLU(inplace=True)
    fast = WinogradConvolution(wide())
    calls = (
        lambda: convolve(fast, x, relu),
        lambda: convolve(fast, x, nn.Identity(), activation=relu),
        lambda: convolve(fast, x, nn.Identity(), plus=x, activation=relu),
        lambda: fast(x),
    )
    for call in calls:
        found, few = counted(call)
        with layers_one_by_one():
            expected, many = counted(call)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
        assert few < 0.65 * many  # 0.25 between the channels, the rest on the way there and back


def counted(work):
    """What `work` gives, and its floating-point operations."""
    with FlopCounterMode(display=False) as counter:
        found = work()
    return found, counter.get_total_flops()


@torch.no_grad()
def test_where_it_does_not_pay_it_is_the_convolution_itself():
    convolution = wide()
    fast = WinogradConvolution(convolution)
    many, few, small = pictures(16, 96, 8, 8), pictures(3, 96, 8, 8), pictures(16, 96, 5, 5)
    assert [fast.pays(x) for x in (many, few, small)] == [True, False, False]
    for x in (few, small):
        assert torch.equal(fast(x), convolution(x))
    with torch.autocast("cpu", torch.bfloat16):
        assert not fast.pays(many)
    with torch.enable_grad():
        assert not fast.pays(many)
        assert torch.equal(fast(many), convolution(many))
    with layers_one_by_one():
        assert not fast.pays(many)
    assert not fast.to(torch.bfloat16).pays(many.to(torch.bfloat16))


def test_a_graph_holds_the_convolution():
    fast = WinogradConvolution(wide())
    with torch.no_grad():
        program = torch.export.export(fast, (pictures(16, 96, 8, 8),))
    names = [node.name for node in program.graph.nodes]
    assert any("conv2d" in name for name in names)
    assert not any("mm" in name for name in names)


class Wrapped(nn.Conv2d):
    """A convolution that may do anything with its input."""


@pytest.mark.parametrize(
    "other",
    [
        Wrapped(96, 96, 3, padding=1),
        nn.Conv2d(LEAST_CHANNELS - 1, 96, 3, padding=1),
        nn.Conv2d(96, LEAST_CHANNELS - 1, 3, padding=1),
        nn.Conv2d(96, 96, 3, padding=1, stride=2),
        nn.Conv2d(96, 96, 3, padding=2, dilation=2),
        nn.Conv2d(96, 96, 3),
        nn.Conv2d(96, 96, 3, padding=1, groups=2),
        nn.Conv2d(96, 96, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(96, 96, 1),
        nn.ConvTranspose2d(96, 96, 3, padding=1),
    ],
)
def test_other_layers_stay(other):
    assert with_fewer_multiplications(nn.Sequential(other))[0] is other


def test_weights_are_shared_and_stored_once():
    convolution = wide()
    network = with_fewer_multiplications(nn.Sequential(nn.Sequential(convolution)))
    assert isinstance(network[0][0], WinogradConvolution)
    assert network[0][0].weight is convolution.weight
    assert list(network.state_dict()) == ["0.0.weight", "0.0.bias"]


@pytest.mark.parametrize(("teacher", "layers"), [("efficientnet_lite0", 7), ("resnet18", 15)])
def test_a_models_maps_are_those_of_every_multiplication(teacher, layers):
    torch.manual_seed(0)
    config = ReverseDistillationSettings(teacher=teacher, image_height=64, image_width=96)
    model = ReverseDistillation.build(config, pretrained=False).eval()
    ready, plain = model.ready(), fold_batch_norms(copy.deepcopy(model))
    fast = [layer for layer in ready.modules() if isinstance(layer, WinogradConvolution)]
    assert len(fast) == layers
    images = torch.randint(0, 256, (16, 64, 96, 3), dtype=torch.uint8).numpy()
    for found, expected in zip(ready.score(images), plain.score(images), strict=True):
        assert abs(found - expected).max() <= 1e-5 * abs(expected).max()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_half_the_bits_are_multiplied_out(precision):
    model = ReverseDistillation.build(ReverseDistillationSettings(precision=precision), pretrained=False).ready()
    assert any(isinstance(layer, WinogradConvolution) for layer in model.modules()) == (precision == "float32")
