"""Entries that a listing left out: litter and unreadable folders."""

from collections import Counter
from dataclasses import dataclass, field

_MOST_NAMES = 40
"""kept names of litter; a few are enough"""
_MOST_TOLD = 6


@dataclass
class LeftOut:
    """Filled by listings. Small, whatever they meet."""

    litter: int = 0
    """files and folders; the contents of a litter folder are not counted"""
    names: Counter[str] = field(default_factory=Counter)
    """keys of litter files, up to a limit"""
    broken: dict[str, str] = field(default_factory=dict)
    """reason, by the key of a folder (with a final '/') that cannot be listed"""
    strays: dict[str, tuple[int, str]] = field(default_factory=dict)
    """by the listed folder: number of files beside its subfolders, and the name of one"""
    _last: str = ""

    def add_litter(self, key: str) -> None:
        """Count a file or folder of litter; repeated calls in a row count once."""
        if key == self._last:
            return
        self._last = key
        self.litter += 1
        folder = "/" if key.endswith("/") else ""
        name = key.rstrip("/").rpartition("/")[2] + folder
        if name in self.names or len(self.names) < _MOST_NAMES:
            self.names[name] += 1

    def add_stray(self, folder: str, name: str) -> None:
        """Count a file among folders."""
        count, first = self.strays.get(folder, (0, name))
        self.strays[folder] = count + 1, min(first, name)

    def add(self, other: "LeftOut") -> None:
        """Add the contents of another one."""
        self.litter += other.litter
        self.broken |= other.broken
        self.strays |= other.strays
        for name, times in other.names.items():
            if name in self.names or len(self.names) < _MOST_NAMES:
                self.names[name] += times

    @property
    def litter_in_words(self) -> str:
        """Such as '3 files and folders: .DS_Store (2), @eaDir/'; empty without litter."""
        if not self.litter:
            return ""
        named = sorted(self.names.items(), key=lambda item: (-item[1], item[0]))[:_MOST_TOLD]
        names = ", ".join(name if times == 1 else f"{name} ({times})" for name, times in named)
        left = self.litter - sum(times for _, times in named)
        kind = "file or folder" if self.litter == 1 else "files and folders"
        return f"{self.litter:,} {kind}: {names}{f' and {left:,} more' if left else ''}"
