"""Open a store by its address."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from storage.errors import InvalidAddress
from storage.stores.faults import translated
from storage.stores.local_store import LocalStore
from storage.stores.store import Store

__all__ = ["LocalStore", "Store", "open_store"]


def open_store(uri: str | Path, *, create: bool = False, read_only: bool = False) -> Store:
    """The store at `uri`: a path, file:///path, or s3://bucket/prefix. Nothing is accessed yet: see `check()`.

    `create` makes a missing local folder, never a bucket. S3 endpoint and credentials come from the usual AWS
    settings. Raises InvalidAddress.
    """
    text = str(uri)
    scheme = urlsplit(text).scheme if "://" in text else ""
    if scheme == "s3":
        return _open_s3(text, read_only)
    if scheme not in ("", "file"):
        raise InvalidAddress(
            f"store {_without_user(text)!r}: the scheme {scheme!r} is not supported, so nothing was opened. "
            "Use a path, file:///path or s3://bucket/prefix."
        )
    return _open_local(text, create, read_only)


def _open_s3(uri: str, read_only: bool) -> Store:
    # Not urlsplit: a prefix may have '?' and '#'.
    bucket, _, prefix = uri.removeprefix("s3://").partition("/")
    if "@" in bucket or ":" in bucket:
        raise InvalidAddress(
            f"store {_without_user(uri)!r}: an address with credentials or a port would show up in logs and "
            "reports. Use s3://bucket/prefix, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL."
        )
    if not bucket:
        raise InvalidAddress(f"store {uri!r} names no bucket, so nothing was opened. Use s3://bucket/prefix.")
    from storage.stores.s3_store import S3Store  # noqa: PLC0415  # half a second, which a store in a folder is spared

    return S3Store(bucket, prefix, read_only=read_only)


def _open_local(uri: str, create: bool, read_only: bool) -> Store:
    if uri.startswith("file://"):
        parts = urlsplit(uri)
        if parts.netloc not in ("", "localhost"):
            raise InvalidAddress(
                f"store {_without_user(uri)!r} names another machine, which a folder cannot be on. "
                "Use file:///path with three slashes."
            )
        uri = unquote(parts.path)
    if not uri:
        raise InvalidAddress("the store's address is empty, so nothing was opened. Give a path or s3://bucket.")
    root = Path(uri).expanduser()
    if create:
        with translated(f"cannot create the store {root}"):
            root.mkdir(parents=True, exist_ok=True)
    return LocalStore(root, read_only=read_only)


def _without_user(uri: str) -> str:
    scheme, _, rest = uri.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
