"""Whether a store or cluster answers at its address, known within a second: their clients retry for long."""

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
    """The store's address. TransientFault if nothing listens at its S3 server's address: the S3 client retries for
    long."""
    uri = store_uri(store)
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint and uri.startswith("s3://") and not urllib.request.getproxies() and (why := refused_by(endpoint)):
        raise TransientFault(
            f"cannot use {uri}: no server answers at AWS_ENDPOINT_URL ({why}). Nothing was started. Start the "
            "server, or correct the address."
        )
    return uri


def refused_by(address: str) -> str | None:
    """Why `scheme://host:port` refuses connections; None if it accepts, took long, or is no such address."""
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
