"""The networks: one pass over an image gives what each patch alone gives, at the cost that is computed."""

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from rd_core.detectors.uninformed_students.architecture import SCALES, extent, layers_of, multiplications, seen_by
from rd_core.detectors.uninformed_students.network import DescriptorNetwork
from rd_core.detectors.uninformed_students.settings import UninformedStudentsSettings
from rd_core.errors import ConfigError


def network_of(scale: int, stride: int) -> DescriptorNetwork:
    torch.manual_seed(scale)
    return DescriptorNetwork(layers_of(scale, 3, 5), scale, stride)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("stride", [1, 2, 4, 8])
def test_one_pass_gives_the_descriptor_of_every_patch(scale: int, stride: int) -> None:
    """Whatever is pooled or dilated, and whichever position of the grid it is."""
    network = network_of(scale, stride)
    padded = torch.randn(2, 3, extent(3, scale, stride), extent(5, scale, stride))
    with torch.no_grad():
        dense = network(padded)
        assert dense.shape == (2, 5, 3, 5)
        for row in range(3):
            for column in range(5):
                top, left = stride * row, stride * column
                patch = padded[:, :, top : top + scale, left : left + scale]
                alone = network.of_patches(patch)
                torch.testing.assert_close(dense[:, :, row, column], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scale", SCALES)
def test_a_descriptor_sees_its_patch_but_for_what_odd_poolings_drop(scale: int) -> None:
    patch = torch.randn(1, 3, scale, scale, requires_grad=True)
    network_of(scale, 1).of_patches(patch).square().sum().backward()
    assert patch.grad is not None
    seen = patch.grad.abs().sum(dim=(0, 1)) > 0
    reach = seen_by(layers_of(scale, 3, 5))
    assert scale - 5 <= reach <= scale
    for side in (seen.any(dim=0), seen.any(dim=1)):
        assert side[0] and side[reach - 1] and not side[reach:].any()


@pytest.mark.parametrize("stride", [1, 4])
@pytest.mark.parametrize("scale", [33, 65])
def test_a_position_stands_for_the_pixels_around_its_patchs_middle(scale: int, stride: int) -> None:
    images = torch.arange(64.0)[None, None, :, None] + 1000 * torch.arange(64.0)
    network = network_of(scale, stride)
    padded = network.bordered(images.expand(1, 3, 64, 64))
    assert padded.shape[2:] == (extent(64 // stride, scale, stride),) * 2
    row, column = 20 // stride, 36 // stride
    half = seen_by(network.layers) // 2
    middle = padded[0, 0, stride * row + half, stride * column + half]
    assert middle == 20 + stride // 2 + 1000 * (36 + stride // 2)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("stride", [1, 2, 8])
def test_the_multiplications_are_those_that_torch_counts(scale: int, stride: int) -> None:
    network, height, width = network_of(scale, stride), extent(4, scale, stride), extent(9, scale, stride)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, height, width))
    assert counter.get_total_flops() == 2 * multiplications(network.layers, height, width, stride)


def test_the_papers_networks_cost_what_they_cost() -> None:
    """At 128 channels a network of 17 pixels takes 196 billion multiplications at every pixel of 256 x 256."""
    whole = multiplications(layers_of(17, 128, 128), 272, 272, 1)
    assert whole == pytest.approx(196e9, rel=0.06)


def test_the_cost_of_a_fit_is_told_and_grows_with_what_makes_it() -> None:
    usual = UninformedStudentsSettings()
    assert 2e9 < usual.image_multiplications() < 8e9 and usual.fit_multiplications(200, 30) < 8e12
    words = usual.cost_in_words(200, 30)
    assert words is not None and "8 networks" in words and "25,600 patches" in words
    assert f"{usual.image_multiplications() / 1e9:,.1f} GMAC an image" in words
    fine = UninformedStudentsSettings(scales=(17, 33, 65), stride=1)
    assert fine.image_multiplications() > 10 * usual.image_multiplications()
    assert np.isclose(
        UninformedStudentsSettings(students=7).image_multiplications(), 2 * usual.image_multiplications()
    )


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"scales": (33, 34)}, r"scales \[33, 34\] are not some of 17, 33, 65"),
        ({"scales": ()}, "no networks"),
        ({"scales": (33, 33)}, "each once"),
        ({"image_height": 32, "scales": (65,)}, r"do not fit images of 32 pixels.*Leave out 65"),
        ({"students": 0}, "students = 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(bad: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        UninformedStudentsSettings(**bad)  # type: ignore[arg-type]  # wrong on purpose
