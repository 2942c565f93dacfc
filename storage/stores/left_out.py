"""What a listing did not give: litter, and folders that cannot be looked into."""

from collections import Counter
from dataclasses import dataclass, field

_MOST_NAMES = 40
"""names of litter that are kept; of ten thousand `._*` files a few tell enough"""
_MOST_TOLD = 6


@dataclass
class LeftOut:
    """Filled by the listings that it is given to. Small, whatever they meet."""

    litter: int = 0
    """files and folders; what lies in a folder of litter is not counted"""
    names: Counter[str] = field(default_factory=Counter)
    """of the litter, without folders on the way; not of all if there are very many"""
    broken: dict[str, str] = field(default_factory=dict)
    """why, by the key of a folder (with a '/' behind) whose objects are not listed"""
    strays: dict[str, tuple[int, str]] = field(default_factory=dict)
    """by the folder that was asked for its children: how many files lie beside them, and the name of one"""
    _last: str = ""

    def add_litter(self, key: str) -> None:
        """Count the file or folder of litter, which may be told several times in a row."""
        if key == self._last:
            return
        self._last = key
        self.litter += 1
        folder = "/" if key.endswith("/") else ""
        name = key.rstrip("/").rpartition("/")[2] + folder
        if name in self.names or len(self.names) < _MOST_NAMES:
            self.names[name] += 1

    def add_stray(self, folder: str, name: str) -> None:
        """A file where folders are looked for."""
        count, first = self.strays.get(folder, (0, name))
        self.strays[folder] = count + 1, min(first, name)

    def add(self, other: "LeftOut") -> None:
        """Take over what another one holds."""
        self.litter += other.litter
        self.broken |= other.broken
        self.strays |= other.strays
        for name, times in other.names.items():
            if name in self.names or len(self.names) < _MOST_NAMES:
                self.names[name] += times

    @property
    def litter_in_words(self) -> str:
        """Such as '3 files and folders: .DS_Store (2), @eaDir/'; empty where there is none."""
        if not self.litter:
            return ""
        told = sorted(self.names.items(), key=lambda item: (-item[1], item[0]))[:_MOST_TOLD]
        names = ", ".join(name if times == 1 else f"{name} ({times})" for name, times in told)
        left = self.litter - sum(times for _, times in told)
        kind = "file or folder" if self.litter == 1 else "files and folders"
        return f"{self.litter:,} {kind}: {names}{f' and {left:,} more' if left else ''}"
