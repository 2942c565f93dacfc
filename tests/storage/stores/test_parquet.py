"""Damaged Parquet is told as such, wherever the damage lies."""

import numpy as np
import pyarrow as pa
import pytest

from storage.errors import CorruptObject
from storage.filesystem import LocalStore
from storage.stores import parquet

TABLE = pa.table({"value": np.random.default_rng(0).random(20_000)})


@pytest.mark.parametrize("place", [0.0, 0.02, 0.5, 0.999])
def test_a_damaged_file_is_corrupt_whether_footer_or_page(local: LocalStore, place: float) -> None:
    data = bytearray(parquet.to_bytes(TABLE))
    start = int(place * len(data)) + (8 if place == 0 else 0)
    data[start : start + 64] = bytes(len(data[start : start + 64]))
    local.write("x.parquet", bytes(data))
    with pytest.raises(CorruptObject, match=r"x\.parquet"):
        parquet.from_bytes(bytes(data), local.address("x.parquet"))
    with pytest.raises(CorruptObject, match=r"x\.parquet"), parquet.opened(local, "x.parquet") as file:
        file.read()


def test_faults_of_the_file_system_are_not_taken_for_damage(local: LocalStore) -> None:
    local.write("x.parquet", parquet.to_bytes(TABLE))
    with pytest.raises(OSError, match="disk on fire") as raised, parquet.opened(local, "x.parquet"):
        raise OSError(5, "disk on fire")
    assert raised.value.errno == 5
