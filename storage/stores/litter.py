"""Litter: files that operating systems, network drives and transfers leave behind."""

import re

_ANYWHERE = (
    # macOS, and servers that speak to it
    r"\._.*",
    r"\.ds_store",
    r"\.apple(double|db|desktop|resource)",
    r"\.(spotlight|documentrevisions)-v100",
    r"\.(trashes|trash|trash-\d+|fseventsd|temporaryitems|localized|volumeicon\.icns|apdisk)",
    r"\.com\.apple\..*",
    r"(temporary items|network trash folder|__macosx)",
    "icon\r",
    # Windows
    r"(thumbs|ehthumbs|ehthumbs_vista|iconcache)\.db(:encryptable)?",
    r".*zone\.identifier",
    r"(desktop\.ini|autorun\.inf|wpsettings\.dat|indexervolumeguid|zbthumbnail\.info)",
    r"(\$recycle\.bin|system volume information|found\.\d{3})",
    # Linux and its file systems
    r"lost\+found",
    r"\.(directory|cache|lock|thumbnails|thumbs?|xvpics|zfs|snap|snapshots?|~tmp~|rsync-partial)",
    r"\.(glusterfs|trashcan|recycle|minio\.sys)",
    r"\.(nfs|fuse_hidden|smbdelete)[0-9a-f]+",
    r"\.goutputstream-.+",
    # Network drives: Synology, QNAP, NetApp, WD
    r"@(eadir|tmp|sharebin|recycle|recently-snapshot)",
    r"#(recycle|snapshot)",
    r"(syno@\.fileindexdb|\.wdmc|~snapshot|\.@__thumb|\.@upload_cache|\.@backup.*|\.streams)",
    r".*@syno(resource|eastream)",
    # Tools that keep a folder in step, or a folder's history
    r"\.(sync|syncignore|syncid|stfolder|stignore|stversions|dropbox|dropbox\.(cache|attr|device)|owncloudsync\.log)",
    r"[.~]syncthing[.~].*",
    r"\.(git|gitkeep|gitignore|gitattributes|keep|svn|hg|ipynb_checkpoints)",
    r"(\.sync_[0-9a-f]+\.db|\.tmp\.drive(upload|download)|__pycache__)",
    # Telephones and their galleries
    r"\.nomedia|\.(trashed|pending)-\d+-.+",
    r"\.bridge(sort|cachet?|labelsandratings)",
    r"\.?picasa\.ini|\.picasaoriginals",
    # Object stores' marks of a folder
    r".*_\$folder\$",
)
"""of a folder or a file"""

_FILES = (
    # Uploads that are not done: the whole file comes under its own name later
    r".*\.(part|partial|filepart|crdownload|opdownload|download|upload|uploading|tmp|temp)",
    r".*\.(aria2|crswap|!sync|bts|lock|_copying_|lnk|url)",
    r"\.(in|pureftpd-upload)\..+",
    r"\..+\.(png|jpe?g|bmp|tiff?|webp|csv|parquet|json|safetensors)\.[0-9a-z]{6}",  # rsync
    # Editors' locks and copies
    r"~\$.+",
    r"\.~lock\..+#",
    r"\.#.+",
    r"#.+#",
    r".+~",
    r"\..+\.sw[a-z]",
)
"""of a file only; a folder of such a name is a person's"""

_LITTER = re.compile(
    rf"(?:^|/)(?:(?:{'|'.join(p.replace('.*', '[^/]*').replace('.+', '[^/]+') for p in _ANYWHERE)})(?=/|\Z)"
    rf"|(?:{'|'.join(p.replace('.*', '[^/]*').replace('.+', '[^/]+') for p in _FILES)})\Z)",
    re.IGNORECASE,
)


def is_litter(key: str) -> bool:
    """Whether the key, or a folder on its way, has a name that neither people nor cameras give.

    Case is ignored. A key with a final "/" is a folder's. Only the name counts; a leading dot alone is no litter.
    """
    return litter_in(key) is not None


def litter_in(key: str) -> str | None:
    """The key up to its first litter, a folder's with a final "/"; None without litter."""
    litter = _LITTER.search(key)
    if litter is None:
        return None
    return key[: litter.end()] + ("/" if litter.end() < len(key) else "")
