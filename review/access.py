"""The guard of the review page: token, host names, same origin."""

import hashlib
import hmac
import ipaddress
from collections.abc import Collection
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

TOKEN_COOKIE = "rd_inspect_review"
_HEADERS = {
    # All content comes from this server, and no inline script runs.
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on `host`."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Guard:
    """Middleware that admits requests with the token, a known host name and, if they write, the same origin.

    token: None admits everybody; then `hosts` is required. hosts: allowed Host headers without the port, against DNS
    rebinding, where a foreign page's name leads to 127.0.0.1. None allows all and needs a token, whose cookie a
    foreign page does not have.
    """

    def __init__(self, app: ASGIApp, *, token: str | None, hosts: Collection[str] | None) -> None:
        if token is None and hosts is None:
            raise ValueError("neither token nor hosts are given: any web page could write labels. Give one of them.")
        self._app, self._hosts = app, hosts
        self._ticket = None if token is None else _ticket(token)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        request = HTTPConnection(scope)
        answer = self._refused(request, scope["method"])
        await (answer or self._app)(scope, receive, send_guarded)

    def _refused(self, request: HTTPConnection, method: str) -> Response | None:
        """The answer to a refused request; None if it is admitted."""
        if self._hosts is not None and (request.url.hostname or "") not in self._hosts:
            return PlainTextResponse("This host name is not served here.", 421)
        if self._ticket is not None and not _equal(request.cookies.get(TOKEN_COOKIE, ""), self._ticket):
            return self._admitted(request) if method == "GET" else PlainTextResponse(_NO_TOKEN, 401)
        if self._ticket is not None and method == "GET" and "token" in request.query_params:
            return _without_token(request)
        if method not in ("GET", "HEAD") and not _is_same_origin(request):
            return PlainTextResponse("Labels are taken only from the review page itself.", 403)
        return None

    def _admitted(self, request: HTTPConnection) -> Response:
        if self._ticket is None or not _equal(_ticket(request.query_params.get("token", "")), self._ticket):
            return PlainTextResponse(_NO_TOKEN, 401)
        answer = _without_token(request)
        secure = request.url.scheme == "https"
        # Lax: with Strict the first click on a link from a mail would arrive without it.
        answer.set_cookie(TOKEN_COOKIE, self._ticket, httponly=True, samesite="lax", secure=secure)
        return answer


_NO_TOKEN = "The review page needs its token: open it once as /?token=..., as the command that started it shows.\n"


def _without_token(request: HTTPConnection) -> Response:
    """A redirect to the same page, so that address bar and history do not keep the token."""
    rest = [(name, value) for name, value in parse_qsl(request.url.query) if name != "token"]
    # A path of two slashes would lead to another host.
    path = "/" + request.url.path.lstrip("/")
    return RedirectResponse(f"{path}?{urlencode(rest)}" if rest else path, 303)


def _is_same_origin(request: HTTPConnection) -> bool:
    """By the Origin header, which every browser sends with a POST and no page can forge."""
    scheme, separator, host = request.headers.get("origin", "").partition("://")
    return bool(separator) and scheme in ("http", "https") and host == request.headers.get("host")


def _ticket(token: str) -> str:
    """The cookie's value: a hash, because the token may be used elsewhere too."""
    return hashlib.sha256(b"rd-inspect review\0" + token.encode("utf-8", "surrogatepass")).hexdigest()


def _equal(given: str, other: str) -> bool:
    """Comparison in constant time, so that its duration does not reveal the token."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))
