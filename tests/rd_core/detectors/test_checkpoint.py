import json
import pickle

import pytest
import torch
from safetensors.torch import load, save

from rd_core.detectors.checkpoint import from_bytes, to_bytes
from rd_core.errors import CheckpointError
from rd_core.files.tensor_file import ENTRY


@pytest.fixture
def data(random_model):
    return to_bytes(random_model)


def rewritten(data, *, header=None, tensors=None):
    """The checkpoint with parts of its header or tensors changed by functions, and its digest left as it was."""
    length = int.from_bytes(data[:8], "little")
    entry = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][ENTRY])
    table = load(data)
    if header:
        header(entry)
    if tensors:
        tensors(table)
    return save(table, metadata={ENTRY: json.dumps(entry)})


def test_loading_needs_no_weights_from_elsewhere(data, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("looked for teacher weights")

    monkeypatch.setattr("rd_core.features.backbone.load_weights", refuse)
    from_bytes(data)


@pytest.mark.parametrize("keep", [0, 5, 100, 10_000, -1])
def test_a_cut_file_is_refused(data, keep):
    with pytest.raises(CheckpointError):
        from_bytes(data[:keep])


def test_one_flipped_bit_among_the_weights_is_noticed(data):
    damaged = bytearray(data)
    damaged[-1000] ^= 4
    with pytest.raises(CheckpointError, match="SHA-256"):
        from_bytes(bytes(damaged))


def test_a_pickle_is_refused_and_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    with pytest.raises(CheckpointError, match="not a model of this program"):
        from_bytes(pickle.dumps(Trap()))
    assert not (tmp_path / "sprung").exists()


def test_safetensors_of_another_program_are_refused():
    with pytest.raises(CheckpointError, match="not a model of this program"):
        from_bytes(save({"a": torch.zeros(2)}))


@pytest.mark.parametrize(
    "start", [b"[" * 100_000, b"[1]", b"null", b'{"__metadata__": 3}', b"\xff\xfe", b"PK\x03\x04"]
)
def test_headers_that_are_none_are_refused(start):
    with pytest.raises(CheckpointError, match="not a model of this program"):
        from_bytes(len(start).to_bytes(8, "little") + start)
    with pytest.raises(CheckpointError, match="not a model of this program"):
        from_bytes(start)


def test_a_picture_that_no_memory_holds_is_refused(data):
    with pytest.raises(CheckpointError, match="settings are invalid"):
        from_bytes(rewritten(data, header=lambda entry: entry["settings"].update(image_height=3_200_000)))


def test_nothing_is_built_of_bytes_that_are_not_a_model(data, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("built a network")

    monkeypatch.setattr("rd_core.detectors.checkpoint.build", refuse)
    tampered = rewritten(data, tensors=lambda table: table.pop("standardisation.mean_0"))
    for wrong in (b"", data[:-1], data + b"x", tampered, pickle.dumps({"a": 1}), save({"a": torch.zeros(2)})):
        with pytest.raises(CheckpointError, match=r"No model was loaded|Nothing was read"):
            from_bytes(wrong)


def test_another_format_is_refused(data):
    with pytest.raises(CheckpointError, match="format 99"):
        from_bytes(rewritten(data, header=lambda entry: entry.update(format=99)))


def test_an_unknown_setting_is_refused(data):
    with pytest.raises(CheckpointError, match="no setting 'colour'"):
        from_bytes(rewritten(data, header=lambda entry: entry["settings"].update(colour="red")))


def test_an_unknown_method_is_refused(data):
    with pytest.raises(CheckpointError, match=r"no method 'reverse_destillation'.*mean 'reverse_distillation'"):
        from_bytes(rewritten(data, header=lambda entry: entry.update(method="reverse_destillation")))


def test_an_unknown_teacher_is_refused(data):
    with pytest.raises(CheckpointError, match="no teacher 'vgg'"):
        from_bytes(rewritten(data, header=lambda entry: entry["settings"].update(teacher="vgg")))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda m: m.student.heads[0].register_parameter("bias", None), "student.heads.0.bias is missing"),
        (lambda m: m.register_buffer("extra", torch.zeros(1)), "extra is unknown"),
        (
            lambda m: m.standardisation.register_buffer("std_0", torch.ones(7)),
            r"std_0 has shape \[7\] instead of \[24\]",
        ),
        (
            lambda m: m.standardisation.register_buffer("std_0", torch.ones(24, dtype=torch.bfloat16)),
            r"std_0 is torch.bfloat16 instead of torch.float32",
        ),
        (lambda m: m.student.double(), r"is torch.float64 instead of torch.float32.* and \d+ more"),
        (lambda m: m.standardisation.mean_0.fill_(float("nan")), "standardisation.mean_0 is not finite"),
    ],
)
def test_tensors_that_do_not_fit_the_settings_are_named(random_model, change, says):
    change(random_model)
    with pytest.raises(CheckpointError, match=says):
        from_bytes(to_bytes(random_model))
