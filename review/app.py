"""The web app of the review page: routes and the status of each error."""

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
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from reports import number_format
from reports.page import breakable
from reports.plain_text import shown
from review.access import Guard
from review.desk import Desk, WrongRequest, reviewer_name
from review.pictures import ImageChanged
from review.plain_words import day_in_words
from review.regions import Overtaken
from review.selection import LABELS, SHOWS, SORTS, Selection, WrongSelection
from storage.errors import InvalidKey, KeyNotFound, StorageError, UnreadableImage
from storage.ignored_regions import UnusableRegion

REVIEWER_COOKIE = "rd_inspect_reviewer"
_YEAR = 365 * 24 * 3600  # seconds
_LONGEST_BODY = 64 * 1024  # bytes; a label has some hundred
_LONGEST_DRAWING = 1024 * 1024
_HISTORY_PAGE = 100
_PAGE = 20
_LIST_PAGE = 48

# 5xx may be temporary: the page keeps the label and tries again. 4xx is final.
_STATUS: dict[type[Exception], int] = {
    WrongRequest: 400,
    WrongSelection: 400,
    KeyNotFound: 404,
    InvalidKey: 404,
    ImageChanged: 409,
    Overtaken: 409,
    UnusableRegion: 422,
    UnreadableImage: 422,
    StorageError: 503,
}


class NameNeeded(Exception):
    """A label without a reviewer's name."""


def create_app(
    desk: Desk, *, token: str | None = None, hosts: Collection[str] | None = None, reviewer: str | None = None
) -> Starlette:
    """The review page of a desk, behind `review.access.Guard`.

    `reviewer`: the name of browsers that have not set one.
    """

    @asynccontextmanager
    async def closing(_: Starlette) -> AsyncIterator[None]:
        yield
        desk.close()

    app = Starlette(
        lifespan=closing,
        routes=[
            Route("/", _page),
            Route("/list", _list),
            Route("/audit", _audit),
            Route("/api/list", _rows),
            Route("/api/row", _row),
            Route("/api/nearest", _nearest),
            Route("/api/reviewer", _set_reviewer, methods=["POST"]),
            Route("/api/label", _label, methods=["POST"]),
            Route("/api/undo", _undo, methods=["POST"]),
            Route("/full", _full),
            Route("/thumbnail", _thumbnail),
            Route("/picture", _drawn(lambda desk, key: desk.pictures.picture(desk.row(key)))),
            Route("/overlay", _drawn(lambda desk, key: desk.pictures.overlay(desk.row(key)))),
            Route("/nearest", _drawn(lambda desk, key: desk.pictures.nearest_picture(desk.row(key)))),
            Route("/regions", _regions),
            Route("/api/regions", _region),
            Route("/api/regions", _save_region, methods=["POST"]),
            Route("/regions/{picture:str}", _region_picture),
            Mount("/static", StaticFiles(directory=Path(__file__).parent / "static")),
        ],
        middleware=[Middleware(Guard, token=token, hosts=hosts)],
        exception_handlers=dict.fromkeys((*_STATUS, NameNeeded), _failure),
    )
    app.state.desk, app.state.reviewer = desk, reviewer
    return app


def _failure(request: Request, error: Exception) -> Response:
    if isinstance(error, NameNeeded):
        return JSONResponse({"error": str(error), "need": "reviewer"}, 403)
    status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
    if "text/html" in request.headers.get("accept", ""):  # a followed link, not a script of ours
        return _html("failure.html", status=status, why=shown(str(error)))
    more = error.state if isinstance(error, Overtaken) else {}
    return JSONResponse({"error": shown(str(error)), **more}, status)


def _page(request: Request) -> Response:
    desk, selection = request.app.state.desk, Selection.from_address(request.query_params)
    categories = desk.categories()
    nights = bool(desk.days(None))
    reviewer = _reviewer(request) or ""
    return _html("review.html", categories=categories, nights=nights, reviewer=reviewer, selection=selection)


def _list(request: Request) -> Response:
    desk, selection = request.app.state.desk, Selection.from_address(request.query_params)
    number = max(1, _whole_number(request, "page", 1))
    address = selection.address(**({"page": number} if number > 1 else {}))
    if any(value == "" for value in request.query_params.values()):
        # A form sends all fields, empty ones too; a shared link should have only those that are set.
        return RedirectResponse(f"/list{address}", 303)
    page = desk.page(selection, _reviewer(request) or "", _LIST_PAGE, (number - 1) * _LIST_PAGE)
    days = desk.days(selection.category)  # the latest first
    of = selection.day
    return _html(
        "list.html",
        selection=selection,
        shows=SHOWS,
        labels=LABELS,
        sorts=SORTS,
        categories=desk.categories(),
        days=days,
        earlier=next((day for day in days if of and day < of), None),
        later=next((day for day in reversed(days) if of and day > of), None),
        people=desk.people(selection.category),
        page=number,
        pages=max(1, -(-page["count"] // _LIST_PAGE)),
        before=(number - 1) * _LIST_PAGE,
        **page,
    )


def _audit(request: Request) -> Response:
    desk: Desk = request.app.state.desk
    category, number = request.query_params.get("category") or None, max(1, _whole_number(request, "page", 1))
    rows, count = desk.history(category, _HISTORY_PAGE, (number - 1) * _HISTORY_PAGE)
    return _html(
        "audit.html",
        categories=desk.categories(),
        category=category or "",
        rows=rows,
        count=count,
        page=number,
        pages=max(1, -(-count // _HISTORY_PAGE)),
        contradictions=desk.contradictions(category),
        unread=desk.unread(category),
        zone=desk.zone,
        reviewer=_reviewer(request) or "",
    )


def _rows(request: Request) -> Response:
    desk, selection = request.app.state.desk, Selection.from_address(request.query_params)
    limit, offset = _whole_number(request, "limit", _PAGE), _whole_number(request, "offset", 0)
    at = request.query_params.get("at") or None
    page = desk.page(selection, _reviewer(request) or "", limit, offset, at=at)
    return JSONResponse({**page, "counts_down": selection.counts_down})


def _row(request: Request) -> Response:
    desk: Desk = request.app.state.desk
    return JSONResponse(desk.image(_key(request), _reviewer(request) or ""))


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
    return JSONResponse(await run_in_threadpool(request.app.state.desk.add_label, sent, who))


async def _undo(request: Request) -> Response:
    sent, who = await _json(request), _named(request)
    return JSONResponse(await run_in_threadpool(request.app.state.desk.undo, sent, who))


def _regions(request: Request) -> Response:
    desk: Desk = request.app.state.desk
    known = desk.regions.categories()
    category = request.query_params.get("category") or next(iter(known), "")
    if category:
        desk.regions.refuse_unknown(category)
    return _html("regions.html", categories=known, category=category, reviewer=_reviewer(request) or "")


def _region(request: Request) -> Response:
    desk: Desk = request.app.state.desk
    return JSONResponse(desk.regions.state(request.query_params.get("category", "")))


async def _save_region(request: Request) -> Response:
    sent, who = await _json(request, _LONGEST_DRAWING), _named(request)
    return JSONResponse(await run_in_threadpool(request.app.state.desk.regions.save, sent, who))


def _region_picture(request: Request) -> Response:
    """A normal image to draw over, the mean of some, or the mask in force."""
    regions, category = request.app.state.desk.regions, request.query_params.get("category", "")
    match request.path_params["picture"]:
        case "picture":
            drawn = regions.picture(category, request.query_params.get("key", ""))
        case "mean":
            drawn = regions.mean(category)
        case "mask":
            drawn = regions.mask(category)
        case other:
            raise KeyNotFound(f"there is no picture {other!r}.")
    return Response(drawn, media_type="image/webp", headers={"Cache-Control": "private, max-age=300"})


def _drawn(draw: Callable[[Desk, str], bytes | None]) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        drawn = draw(request.app.state.desk, _key(request))
        if drawn is None:
            raise KeyNotFound("there is no normal image to compare it with.")
        # The address has the image's version, so a cached picture is never out of date.
        return Response(drawn, media_type="image/webp", headers={"Cache-Control": "private, max-age=3600"})

    return answer


def _full(request: Request) -> Response:
    desk: Desk = request.app.state.desk
    drawn, kind = desk.pictures.full_picture(desk.row(_key(request)))
    return Response(drawn, media_type=kind)


def _thumbnail(request: Request) -> Response:
    """A small picture, or a few words as a picture, so that nothing in a list looks broken."""
    desk: Desk = request.app.state.desk
    row = desk.row(_key(request))
    try:
        drawn = desk.pictures.thumbnail(row)
    except KeyNotFound:
        return _words_as_picture("missing since it was scored")
    except ImageChanged:
        return _words_as_picture("changed since it was scored")
    except UnreadableImage:
        return _words_as_picture("no picture")
    except StorageError:
        return _words_as_picture("cannot be read now")
    return Response(drawn, media_type="image/webp", headers={"Cache-Control": "private, max-age=3600"})


def _words_as_picture(words: str) -> Response:
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" width="224" height="224"><rect width="224" height="224" '
        'fill="#8a9299" fill-opacity=".25"/><text x="112" y="116" font-size="15" font-family="sans-serif" '
        f'text-anchor="middle" fill="#7d868e">{words}</text></svg>'
    )
    return Response(svg, media_type="image/svg+xml")


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
        raise NameNeeded("enter your name first, so that everybody knows whose label it is.")
    return who


def _key(request: Request) -> str:
    key = request.query_params.get("key", "")
    if not key or len(key) > 4096 or any("\ud800" <= letter <= "\udfff" for letter in key):
        raise WrongRequest("the parameter key names no image.")
    return key


def _whole_number(request: Request, name: str, otherwise: int) -> int:
    text = request.query_params.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else otherwise


async def _json(request: Request, longest: int = _LONGEST_BODY) -> dict[str, Any]:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > longest:
            raise WrongRequest(f"the request is longer than {longest} bytes, so nothing was done.")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as e:
        raise WrongRequest("the request is not JSON, so nothing was done.") from e
    if not isinstance(value, dict):
        raise WrongRequest("the request is not a JSON object, so nothing was done.")
    return value


def _html(template: str, status: int = 200, **contents: Any) -> HTMLResponse:
    return HTMLResponse(_ENVIRONMENT.get_template(template).render(**contents), status)


_ENVIRONMENT = Environment(
    loader=PackageLoader("review", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters.update(
    shown=shown,
    score=number_format.score,
    count=number_format.count,
    counted=number_format.counted,
    day=day_in_words,
    breakable=breakable,
)
