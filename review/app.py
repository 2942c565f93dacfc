"""The web app: routes, and what each failure is to the page."""

import json
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from reports import number_format
from reports.plain_text import shown
from review.access import Guard
from review.desk import Desk, WrongRequest, reviewer_name
from review.pictures import ImageChanged
from storage.errors import InvalidKey, KeyNotFound, StorageError, UnreadableImage

REVIEWER_COOKIE = "rd_inspect_reviewer"
_YEAR = 365 * 24 * 3600  # seconds
_LONGEST_BODY = 64 * 1024  # bytes; a label has some hundred
_TRAIL_PAGE = 100
_QUEUE_PAGE = 20

# 5xx is for what may pass: the page keeps the label and tries again. 4xx is final.
_STATUS: dict[type[Exception], int] = {
    WrongRequest: 400,
    KeyNotFound: 404,
    InvalidKey: 404,
    ImageChanged: 409,
    UnreadableImage: 422,
    StorageError: 503,
}


class NameNeeded(Exception):
    """A label from somebody who has not said who they are."""


def create_app(
    desk: Desk, *, token: str | None = None, hosts: Collection[str] | None = None, reviewer: str | None = None
) -> Starlette:
    """The review page of a desk, behind `review.access.Guard`.

    `reviewer`: whose labels these are where the browser has not been told a name.
    """

    @asynccontextmanager
    async def closing(_: Starlette) -> AsyncIterator[None]:
        yield
        desk.close()

    app = Starlette(
        lifespan=closing,
        routes=[
            Route("/", _page),
            Route("/audit", _audit),
            Route("/api/queue", _queue),
            Route("/api/row", _row),
            Route("/api/nearest", _nearest),
            Route("/api/reviewer", _set_reviewer, methods=["POST"]),
            Route("/api/label", _label, methods=["POST"]),
            Route("/api/undo", _undo, methods=["POST"]),
            Route("/picture", _drawn(lambda desk, key: desk.pictures.picture(desk.row(key)))),
            Route("/overlay", _drawn(lambda desk, key: desk.pictures.overlay(desk.row(key)))),
            Route("/nearest", _drawn(lambda desk, key: desk.pictures.nearest_picture(desk.row(key)))),
            Mount("/static", StaticFiles(directory=Path(__file__).parent / "static")),
        ],
        middleware=[Middleware(Guard, token=token, hosts=hosts)],
        exception_handlers=dict.fromkeys((*_STATUS, NameNeeded), _failure),
    )
    app.state.desk, app.state.reviewer = desk, reviewer
    return app


def _failure(_: Request, error: Exception) -> Response:
    if isinstance(error, NameNeeded):
        return JSONResponse({"error": str(error), "need": "reviewer"}, 403)
    status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
    return JSONResponse({"error": shown(str(error))}, status)


def _page(request: Request) -> Response:
    desk: Desk = request.app.state.desk
    return _html("review.html", categories=desk.categories(), reviewer=_reviewer(request) or "")


def _audit(request: Request) -> Response:
    desk: Desk = request.app.state.desk
    category, number = request.query_params.get("category") or None, max(1, _whole_number(request, "page", 1))
    spoken, count = desk.trail(category, _TRAIL_PAGE, (number - 1) * _TRAIL_PAGE)
    return _html(
        "audit.html",
        categories=desk.categories(),
        category=category or "",
        spoken=spoken,
        count=count,
        page=number,
        pages=max(1, -(-count // _TRAIL_PAGE)),
        contradictions=desk.contradictions(category),
        unread=desk.unread(category),
        reviewer=_reviewer(request) or "",
    )


def _queue(request: Request) -> Response:
    desk: Desk = request.app.state.desk
    category = request.query_params.get("category") or None
    limit, offset = _whole_number(request, "limit", _QUEUE_PAGE), _whole_number(request, "offset", 0)
    return JSONResponse(desk.queue(_reviewer(request) or "", category, limit, offset))


def _row(request: Request) -> Response:
    desk: Desk = request.app.state.desk
    return JSONResponse(desk.one(_key(request), _reviewer(request) or ""))


def _nearest(request: Request) -> Response:
    desk: Desk = request.app.state.desk
    return JSONResponse({"nearest": desk.nearest(_key(request))})


async def _set_reviewer(request: Request) -> Response:
    name = reviewer_name(str((await _json(request)).get("name", "")))
    answer = JSONResponse({"reviewer": name})
    secure = request.url.scheme == "https"
    answer.set_cookie(REVIEWER_COOKIE, quote(name), max_age=_YEAR, httponly=True, samesite="lax", secure=secure)
    return answer


async def _label(request: Request) -> Response:
    sent, who = await _json(request), _named(request)
    return JSONResponse(await run_in_threadpool(request.app.state.desk.say, sent, who))


async def _undo(request: Request) -> Response:
    sent, who = await _json(request), _named(request)
    return JSONResponse(await run_in_threadpool(request.app.state.desk.undo, sent, who))


def _drawn(draw: Callable[[Desk, str], bytes | None]) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        drawn = draw(request.app.state.desk, _key(request))
        if drawn is None:
            raise KeyNotFound("there is no normal image to show beside it.")
        # The address holds the image's version, so that what is kept is never out of date.
        return Response(drawn, media_type="image/webp", headers={"Cache-Control": "private, max-age=3600"})

    return answer


def _reviewer(request: Request) -> str | None:
    """The name in the cookie, else the one the server was started with."""
    try:
        return reviewer_name(unquote(request.cookies.get(REVIEWER_COOKIE, ""), errors="strict"))
    except (WrongRequest, UnicodeDecodeError):
        default: str | None = request.app.state.reviewer
        return default


def _named(request: Request) -> str:
    who = _reviewer(request)
    if who is None:
        raise NameNeeded("tell your name first, so that everybody knows whose label it is.")
    return who


def _key(request: Request) -> str:
    key = request.query_params.get("key", "")
    if not key or len(key) > 4096 or any("\ud800" <= letter <= "\udfff" for letter in key):
        raise WrongRequest("key names no image.")
    return key


def _whole_number(request: Request, name: str, otherwise: int) -> int:
    text = request.query_params.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else otherwise


async def _json(request: Request) -> dict[str, Any]:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LONGEST_BODY:
            raise WrongRequest(f"the request is longer than {_LONGEST_BODY} bytes, so nothing was done.")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as e:
        raise WrongRequest("the request is not JSON, so nothing was done.") from e
    if not isinstance(value, dict):
        raise WrongRequest("the request is no JSON object, so nothing was done.")
    return value


def _html(template: str, **contents: Any) -> HTMLResponse:
    return HTMLResponse(_ENVIRONMENT.get_template(template).render(**contents))


_ENVIRONMENT = Environment(
    loader=PackageLoader("review", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters.update(
    shown=shown, score=number_format.score, count=number_format.count, counted=number_format.counted
)
