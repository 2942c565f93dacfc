"""A factory with three products and five nights, drawn from a seed: names and bytes are the same every time."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from demo import broken_files, brushed_metal, defects, lighting, printed_part, woven_cloth

NIGHTS = 5
BROKEN_NIGHT = 1
"""index of the night with broken files"""
LAMP_NIGHT = 4
"""index of the night on which a lamp fails"""
_DRAW = {
    "woven_cloth": woven_cloth.draw,
    "brushed_metal": brushed_metal.draw,
    "printed_part": printed_part.draw,
}
_NORMALS, _GOOD, _DEFECTIVE = 0, 1, 2
"""parts of the seed, so that no two images share their noise"""


@dataclass(frozen=True)
class FactoryImage:
    """One file as the line writes it, with its true label."""

    name: str
    """below the night's folder, such as 'good/000.png'; may hold spaces and letters outside ASCII"""
    data: bytes
    label: Literal["normal", "anomalous"]
    kind: str | None
    """kind of defect; for an unreadable file its fault; None for a good part"""
    mask: bytes | None
    """PNG, 8 bit grey, 255 where the defect is; None for a good part"""
    readable: bool = True
    """False if no image can be decoded from `data`"""


class Factory:
    """The demo's images: good parts to train on, and five nights to inspect, each with a few defects.

    Night 1 also has broken files, a duplicate and a wrong extension; on night 4 a lamp fails, and the light drifts
    further with every image.
    """

    def __init__(
        self,
        seed: int = 0,
        size: int = 160,
        normals: int = 100,
        good_per_night: int = 28,
        defective_per_night: int = 2,
    ) -> None:
        """`size`: side in pixels; the counts are per category."""
        self.seed = seed
        self.size = size
        self.normals_per_category = normals
        self.good_per_night = good_per_night
        self.defective_per_night = defective_per_night

    @property
    def categories(self) -> tuple[str, ...]:
        return tuple(_DRAW)

    def normals(self, category: str) -> Iterator[FactoryImage]:
        """Good parts to train and calibrate on; none of them appears at night."""
        for index in range(self.normals_per_category):
            picture = self._picture(category, _NORMALS, 0, index)
            yield self._file(f"good/{index:03d}", index, picture)

    def night(self, category: str, index: int) -> Iterator[FactoryImage]:
        """One night's images: good ones, then defective ones, whose kinds continue the next night, then broken
        files, if any.

        Raises ValueError if there is no night `index`, and KeyError for an unknown category.
        """
        if index not in range(NIGHTS):
            raise ValueError(
                f"night {index} does not exist: the factory works on nights 0 to {NIGHTS - 1}. Use one of them."
            )
        yield from self._good(category, index)
        yield from self._defective(category, index)
        if index == BROKEN_NIGHT:
            yield from self._odd(category, index)

    def _good(self, category: str, night: int) -> Iterator[FactoryImage]:
        for number in range(self.good_per_night):
            picture = self._lit(night, number, self.good_per_night, self._picture(category, _GOOD, night, number))
            stem = f"good/Prüfling Nr. {number} (Schicht 2)" if number == 3 else f"good/{number:03d}"
            yield self._file(stem, number, picture)

    def _defective(self, category: str, night: int) -> Iterator[FactoryImage]:
        kinds = list(defects.KINDS[category])
        for number in range(self.defective_per_night):
            kind = kinds[(number + night * self.defective_per_night) % len(kinds)]
            rng = self._rng(category, _DEFECTIVE, night, number)
            picture, mask = defects.KINDS[category][kind](
                _DRAW[category](rng, self.size), rng, self._severity(night, number)
            )
            picture = self._lit(night, number, self.defective_per_night, picture)
            yield self._file(f"{kind}/{number:03d}", number + night, picture, kind, mask)

    def _odd(self, category: str, night: int) -> Iterator[FactoryImage]:
        picture = _uint8(self._picture(category, _GOOD, night, self.good_per_night))
        for odd in broken_files.odd_files(picture):
            kind = None if odd.readable else odd.fault
            yield FactoryImage(f"good/{odd.name}", odd.data, "normal", kind, None, odd.readable)
        first = _uint8(self._picture(category, _GOOD, night, 0))
        yield FactoryImage("good/copy of 000.png", _encoded(first, "PNG"), "normal", None, None)

    def _severity(self, night: int, number: int) -> float:
        """Spread evenly over [0.1, 1] for each kind, so that every night has obvious and faint defects."""
        golden = 0.618034
        return 0.1 + 0.9 * ((0.35 + golden * (number + night * self.defective_per_night)) % 1)

    def _lit(self, night: int, number: int, of: int, picture: NDArray[np.float32]) -> NDArray[np.float32]:
        if night != LAMP_NIGHT:
            return picture
        return lighting.drift(picture, 0.15 + 0.85 * number / max(1, of - 1))

    def _picture(self, category: str, part: int, night: int, number: int) -> NDArray[np.float32]:
        return _DRAW[category](self._rng(category, part, night, number), self.size)

    def _rng(self, category: str, part: int, night: int, number: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, list(_DRAW).index(category), part, night, number])

    def _file(
        self,
        stem: str,
        number: int,
        picture: NDArray[np.float32],
        kind: str | None = None,
        mask: NDArray[np.bool_] | None = None,
    ) -> FactoryImage:
        """Every third file is a JPEG, good and defective alike; the others are PNG."""
        suffix, codec = ("jpg", "JPEG") if number % 3 == 1 else ("png", "PNG")
        return FactoryImage(
            name=f"{stem}.{suffix}",
            data=_encoded(_uint8(picture), codec),
            label="normal" if mask is None else "anomalous",
            kind=kind,
            mask=None if mask is None else _encoded(mask.astype(np.uint8) * 255, "PNG"),
        )


def _uint8(picture: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.round(picture * 255).astype(np.uint8)


def _encoded(picture: NDArray[np.uint8], codec: str) -> bytes:
    out = io.BytesIO()
    # Good quality and full colour resolution, so that a model takes no JPEG artefact for a defect.
    options = {"quality": 95, "subsampling": 0} if codec == "JPEG" else {"compress_level": 3}
    Image.fromarray(picture).save(out, codec, **options)
    return out.getvalue()
