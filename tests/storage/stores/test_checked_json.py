"""JSON that carries its own digest: any other content than the one written is refused, however it came about."""

import json

import pytest

from storage.errors import CorruptObject
from storage.stores import checked_json

CONTENT = {"threshold": {"value": 0.1 + 0.2, "parts": (1, 2)}, "name": "Stück", "2": None}


def read(data: bytes) -> dict:
    return checked_json.from_bytes(data, "store/card.json", "a model card")


def test_content_comes_back_as_it_was_written_and_in_no_other_spelling() -> None:
    data = checked_json.to_bytes(CONTENT)
    assert read(data) == json.loads(json.dumps(CONTENT))
    for other in (json.dumps(json.loads(data)).encode(), data + b" ", data.replace(b"u00fc", b"u00FC")):
        with pytest.raises(CorruptObject, match="edited or damaged since"):
            read(other)
    assert checked_json.to_bytes(dict(reversed(CONTENT.items()))) == data


def test_no_flipped_bit_passes() -> None:
    data = checked_json.to_bytes(CONTENT)
    for place in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[place // 8] ^= 1 << place % 8
        with pytest.raises(CorruptObject, match=r"store/card\.json is not a model card"):
            read(bytes(flipped))


def test_what_carries_no_digest_is_told_apart_from_what_was_edited() -> None:
    with pytest.raises(CorruptObject, match=r"carries no digest .* by hand or by another version"):
        read(b'{"threshold": 1}')


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"[" * 100_000, b'{"a": NaN, "sha256": ""}'])
def test_what_was_never_written_so_is_refused(data: bytes) -> None:
    with pytest.raises(CorruptObject, match="a model card"):
        read(data)
