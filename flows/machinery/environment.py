"""Environment variables of this process: some for a while, and those that lead around a plant's proxies."""

import contextlib
import importlib.util
import os
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import urlsplit

_PROXIES = {"http_proxy", "https_proxy", "all_proxy"}
_LOOPBACK = ("127.0.0.1", "localhost")


@contextlib.contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """This process's environment with `values` in it, and after that as it was."""
    with environment_kept(values):
        os.environ.update(values)
        yield


@contextlib.contextmanager
def environment_kept(names: Iterable[str]) -> Iterator[None]:
    """After what is done inside, these variables of this process are as they were; others are left alone."""
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def around_loopback() -> dict[str, str]:
    """Environment variables with which this process and what it starts reach 127.0.0.1 without a proxy, and all else
    as before. What the plant has in NO_PROXY stays in it.

    A proxy that httpx cannot use (SOCKS without the package socksio) is taken out: httpx, and Prefect with it,
    refuses to begin when one is merely named. Nor could botocore use it, so that S3 loses nothing.
    """
    told = urllib.request.getproxies_environment()
    spared = told.pop("no", "").strip()
    if not told:
        return {}
    usable = {"http", "https", *(("socks5", "socks5h") if importlib.util.find_spec("socksio") else ())}
    values = {
        name: ""
        for name, value in os.environ.items()
        if name.lower() in _PROXIES and "://" in value and value.partition("://")[0].lower() not in usable
    }
    if spared != "*":
        hosts = [host for host in (*spared.replace(" ", "").split(","), *_LOOPBACK) if host]
        values |= dict.fromkeys(("NO_PROXY", "no_proxy"), ",".join(dict.fromkeys(hosts)))
    return values


def is_loopback(url: str) -> bool:
    """Whether what listens there is on this machine."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:  # no address at all
        return False
    return host in {"localhost", "::1"} or host.startswith("127.")
