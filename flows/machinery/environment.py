"""Environment variables of this process: temporary ones, and the proxy exception for 127.0.0.1."""

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
    """Set `values` in this process's environment, and restore it afterwards."""
    with environment_kept(values):
        os.environ.update(values)
        yield


@contextlib.contextmanager
def environment_kept(names: Iterable[str]) -> Iterator[None]:
    """Restore these variables of this process afterwards; others are left alone."""
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
    """Environment variables for reaching 127.0.0.1 without a proxy, in this process and its children. Hosts in
    NO_PROXY stay.

    A proxy that httpx cannot use (SOCKS without the package socksio) is left out, because httpx, and so Prefect,
    refuses to start with it. botocore could not use it either.
    """
    proxies = urllib.request.getproxies_environment()
    spared = proxies.pop("no", "").strip()
    if not proxies:
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
    """Whether the address is on this machine."""
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:  # no address at all
        return False
    return host in {"localhost", "::1"} or host.startswith("127.")
