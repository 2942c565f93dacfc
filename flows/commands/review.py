"""rd-inspect review: the page on which people label what was flagged."""

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
        str, typer.Option("--host", help="Address to listen on; any but this machine's own needs --token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes any free one.")] = 8010,
    token: Annotated[
        str | None,
        typer.Option("--token", metavar="T", help="Secret without which nobody comes in: opened as /?token=T."),
    ] = None,
    reviewer: Annotated[
        str | None, typer.Option("--reviewer", metavar="NAME", help="Whose labels these are; default: the page asks.")
    ] = None,
    images: ImagesOption = None,
) -> None:
    """Serve a page on which people look at images, flagged or not, and say what they are.

    Each image is shown with its heat map and beside the most similar normal image. Keys: **n** normal, **d** defect,
    **u** unsure, **z** undo, arrows to move. A label is in the store as soon as it is said, below
    `labels/<category>/`, with who said it, when, what it is for (training or evaluation), and which model's score
    they saw. `/audit` shows all of them, `/list` the images of any day.

    The page begins with images that people differ on, then what nobody has decided, nearest to the threshold first.
    Several people may label at once, on one server or on several. Ctrl-C ends it.

    Example: `rd-inspect review --store ./plant --category cloth`
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
        with asked_to_leave(partial(setattr, server, "should_exit", True)):  # after the labels that are being said
            server.run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    from flows.settings import SettingsError

    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as e:
        raise SettingsError(
            f"--host {host} --port {port}: cannot be listened on ({e.strerror or e}). Choose another --port."
        ) from e
