"""Whether anybody listens where a store or a cluster is said to be, told within a second: their clients try again and
again before they say so."""

import os
import socket
import urllib.request
from urllib.parse import urlsplit

from flows.settings import store_uri
from storage.errors import TransientFault

_PORTS = {"http": 80, "https": 443}
_PATIENCE = 1.0
"""seconds for a connection"""


def answering(store: str | None) -> str:
    """The store's address. TransientFault if it is of S3 and nobody listens where its server is said to be: the S3
    client itself tries again and again before it says so."""
    uri = store_uri(store)
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint and uri.startswith("s3://") and not urllib.request.getproxies() and (why := refused_by(endpoint)):
        raise TransientFault(
            f"cannot use {uri}: nobody answers where AWS_ENDPOINT_URL leads ({why}). Nothing was started. Start the "
            "server, or correct the address."
        )
    return uri


def refused_by(address: str) -> str | None:
    """Why no connection to `scheme://host:port` can be made; None if it can, if it took long, or if it is no such
    address."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    if not host or not port:
        return None
    try:
        socket.create_connection((host, port), timeout=_PATIENCE).close()
    except TimeoutError:
        return None
    except OSError as e:
        return f"{host}:{port}: {e.strerror or e}"
    return None
