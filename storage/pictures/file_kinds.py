"""Recognition of files that are not images of ours, by their first bytes.

Phone exports, proxy pages and Git LFS pointers reach image folders by mistake, often with an image's name.
"""

import re

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
"""supported formats, in Pillow's names"""

_SAMPLE = 4096
"""bytes searched for text"""
_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"8BPS", "Photoshop (PSD)"),
    (b"\0\0\1\0", "ICO"),
    (b"icns", "ICNS"),
    (b"v/1\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"PF\n", "PFM"),
    (b"Pf\n", "PFM"),
    (b"SIMPLE  =", "FITS"),
    (b"qoif", "QOI"),
    (b"DDS ", "DDS"),
    (b"\x01\xda", "SGI"),
    (b"\x59\xa6\x6a\x95", "Sun raster"),
    (b"\x0a\x05\x01", "PCX"),
    (b"\xd7\xcd\xc6\x9a", "WMF"),
    (b"AT&TFORM", "DjVu"),
    (b"IIRO", "camera raw (ORF)"),
    (b"IIRS", "camera raw (ORF)"),
    (b"MMOR", "camera raw (ORF)"),
    (b"IIU\0", "camera raw (RW2)"),
    (b"FUJIFILMCCD-RAW", "camera raw (RAF)"),
    (b"FOVb", "camera raw (X3F)"),
    (b"\0MRM", "camera raw (MRW)"),
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript (EPS)"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!", "rar"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x1aE\xdf\xa3", "Matroska or WebM video"),
    (b"\0\0\1\xba", "MPEG video"),
    (b"\0\0\1\xb3", "MPEG video"),
    (b"FLV\x01", "Flash video"),
    (b"\x89HDF", "HDF5"),
    (b"\x93NUMPY", "NumPy array"),
    (b"PAR1", "Parquet"),
    (b"SQLite format 3", "SQLite"),
    (b"\x7fELF", "program"),
    (b"\0\x05\x16\x07", "macOS side file (AppleDouble)"),
    (b"version https://git-lfs", "Git LFS pointer"),
)
_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "HEIC"),
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
    b"crx ": "camera raw (CR3)",
}
"""brands of ISO media image files; others are videos"""
_MARKUP = (("<svg", "SVG"), ("<!doctype html", "HTML page"), ("<html", "HTML page"))
_CURES = {
    "Git LFS pointer": "the picture itself was never fetched: run git lfs pull and copy it again",
    "HTML page": "a server sent a page in the picture's place, of an error or a log-in: look at it and copy again",
    "zip": "unpack it",
}


def kind_of(data: bytes) -> str | None:
    """The file's kind, such as "HEIC" or "Git LFS pointer"; None if unknown."""
    known = next((kind for start, kind in _STARTS if data.startswith(start)), None)
    return known or _kind_by_content(data) or _text(data)


def _kind_by_content(data: bytes) -> str | None:
    """Kinds whose mark is not at the beginning, or too short to be sure."""
    signs = {
        "RIFF": data[:4] == b"RIFF" and data[8:12] != b"WEBP",
        "DICOM": data[128:132] == b"DICM",
        "tar": data[257:262] == b"ustar",
        "PBM, PGM or PPM": re.match(rb"P[1-7][\s#]", data) is not None,
        "DIB (a BMP without its file header)": data[:4] in (b"\x28\0\0\0", b"\x6c\0\0\0", b"\x7c\0\0\0"),
        "CUR": data[:4] == b"\0\0\2\0" and any(data[4:6]),  # of a TGA these two say how long no colour table is
        "TGA": data[-18:-2] == b"TRUEVISION-XFILE" or data[:8] == b"\0\0\2\0\0\0\0\0",
        "zero bytes": bool(data) and not any(data),
    }
    if data[4:8] == b"ftyp":
        return _media(data)
    if data[8:12] == b"AVI ":
        return "AVI video"
    return next((kind for kind, present in signs.items() if present), None)


def _beginning(data: bytes) -> str:
    """A text's first line in quotes, for people."""
    line = next(iter(data[:40].decode("utf-8", "replace").split("\n")))
    return '"' + "".join(letter if letter.isprintable() else " " for letter in line).strip() + '"'


def not_taken(data: bytes, taken: str) -> str | None:
    """Why a known file outside `taken` is not decoded, and what to do; None if it is unknown."""
    kind = kind_of(data)
    if kind is None:
        return None
    if kind == "zero bytes":
        return "nothing but zero bytes: the copy was cut off or the disk was full. Copy it again"
    if kind in ("text", "HTML page", "Git LFS pointer"):
        cure = _CURES.get(kind, "copy the picture again")
        return f"a {kind} and no picture (it begins with {_beginning(data)}): {cure}"
    cure = _CURES.get(kind, f"export it as {taken}")
    return f"{kind} is not supported, so nothing of it was decoded: {cure}"


def _media(data: bytes) -> str:
    size = min(int.from_bytes(data[:4], "big"), 64, len(data))
    brands = [data[8:12], *(data[i : i + 4] for i in range(16, size - 3, 4))]
    return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), "MP4 or MOV video")


def _text(data: bytes) -> str | None:
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8"
    sample = data[: _SAMPLE if encoding == "utf-8" else _SAMPLE // 2 * 2]
    try:
        text = sample.decode(encoding, errors="strict" if len(data) <= _SAMPLE else "ignore")
    except UnicodeDecodeError:
        return None
    if not text or not all(character.isprintable() or character in "\t\r\n\f\ufeff" for character in text):
        return None
    head = text.lstrip("\ufeff \t\r\n").lower()
    for mark, kind in _MARKUP:
        if head.startswith(mark) or (head.startswith(("<?xml", "<!--", "<!doctype")) and mark in head):
            return kind
    return "text"
