"""Our EfficientNet-Lite against timm's, with the same weights."""

import pytest
import torch

from rd_core.features.efficientnet_lite import EfficientNetLite


@pytest.fixture(scope="module", params=[0, 1, 2])
def pair(request):
    """(ours, timm's) with the same random weights and statistics."""
    import timm  # noqa: PLC0415  # two seconds, that every process of the tests would spend

    theirs = timm.create_model(f"tf_efficientnet_lite{request.param}").eval()
    generator = torch.Generator().manual_seed(0)
    weights = {
        name: tensor if name.endswith("tracked") else torch.rand(tensor.shape, generator=generator) * 0.2 + 0.05
        for name, tensor in theirs.state_dict().items()
    }
    weights |= {
        name: torch.randn(tensor.shape, generator=generator) / tensor[0].numel() ** 0.5
        for name, tensor in weights.items()
        if tensor.ndim > 1
    }
    theirs.load_state_dict(weights)
    ours = EfficientNetLite(request.param).eval()
    ours.load_state_dict(weights)
    return ours, theirs


def test_parameters_have_timms_names_in_timms_order(pair):
    ours, theirs = pair
    assert list(ours.state_dict()) == list(theirs.state_dict())


@pytest.mark.parametrize("size", [(64, 96), (50, 75), (33, 47)])
def test_logits_are_timms_for_even_and_odd_sizes(pair, size):
    ours, theirs = pair
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = theirs(images)
        assert wanted.std() > 0.01  # weights that let something through
        torch.testing.assert_close(ours(images), wanted, atol=1e-5, rtol=1e-4)


def test_images_are_left_as_they_are(pair):
    ours, _ = pair
    images = torch.randn(1, 3, 32, 32)
    before = images.clone()
    with torch.no_grad():
        ours(images)
    torch.testing.assert_close(images, before, rtol=0, atol=0)
