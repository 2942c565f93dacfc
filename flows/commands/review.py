"""`rd-inspect review`: the page on which people label images."""

import socket
from functools import partial
from typing import Annotated
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import typer

from flows.commands.frame import CategoriesOption, ImagesOption, StoreOption, plain_errors
from flows.machinery.interruption import asked_to_leave
from flows.printing.output import say

_SHORT_TOKEN = 16


def serve_review(
    store: StoreOption = None,
    category: CategoriesOption = None,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; one that other machines reach needs --token.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port to listen on; 0 takes any free one.")
    ] = 8010,
    token: Annotated[
        str | None,
        typer.Option("--token", metavar="T", help="Secret that opens the page, as /?token=T; 16 characters or more."),
    ] = None,
    reviewer: Annotated[
        str | None,
        typer.Option("--reviewer", metavar="NAME", help="Name kept with each label; default: the page asks."),
    ] = None,
    images: ImagesOption = None,
) -> None:
    """Serve a web page on which people label images.

    Each image is shown with its anomaly map, beside the most similar normal image. Keys: **n** normal, **d**
    defect, **u** unsure, **z** undo, arrows to move. Each label is stored at once below `labels/<category>/`, with
    who gave it, when, its purpose (training or evaluation), and the model whose score was shown. `/audit` lists
    all labels, `/list` the images of any day.

    Images with conflicting labels come first, then those without a label, nearest to the threshold first. Several
    people may label at once, on one server or on several. Ctrl-C ends it.

    Example:

    * `rd-inspect review --category cloth`

    Next: `rd-inspect evaluate` measures with the labels; `rd-inspect retrain` trains on them.
    """
    with plain_errors():
        import uvicorn

        from flows.preflight.checks import checked_settings
        from flows.settings import SettingsError
        from review.access import is_loopback
        from review.app import create_app
        from review.desk import Desk, WrongRequest, reviewer_name
        from storage.filesystem import open_store

        if not is_loopback(host) and not token:
            raise SettingsError(
                f"--host {host} can be reached from other machines, and without a token anybody there could label. "
                "Give --token a long secret, or leave --host at 127.0.0.1."
            )
        try:
            name = reviewer_name(reviewer) if reviewer is not None else None
        except WrongRequest as e:
            raise SettingsError(f"--reviewer {reviewer!r}: {e}") from e
        if token and len(token) < _SHORT_TOKEN:
            say(f"The token has {len(token)} characters and could be guessed; {_SHORT_TOKEN} or more are better.")
        settings = checked_settings(store, category, images=images)
        uri = settings.store
        there, pictures = open_store(uri), open_store(images or uri, read_only=True)
        there.check()
        pictures.check()
        listening = _listen(host, port)
        hosts = {"localhost", "127.0.0.1", "::1", host} if is_loopback(host) else None
        zone = ZoneInfo(settings.plant.time_zone)
        app = create_app(Desk(there, pictures, category, zone=zone), token=token, hosts=hosts, reviewer=name)
        shown_host = f"[{host}]" if ":" in host else host
        query = f"?{urlencode({'token': token})}" if token else ""
        say(f"Review page: http://{shown_host}:{listening.getsockname()[1]}/{query}")
        say("Ctrl-C ends it; every label is in the store already.")
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, server_header=False))
        with asked_to_leave(partial(setattr, server, "should_exit", True)):  # after labels that are being written
            server.run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    from flows.settings import SettingsError

    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as e:
        raise SettingsError(
            f"--host {host} --port {port}: cannot listen there ({e.strerror or e}). Choose another --port."
        ) from e
