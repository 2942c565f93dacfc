"""A Prefect server that is configured and cannot be used is told in one sentence, with the cure."""

import time
from collections.abc import Callable

import httpx
import prefect
import pytest
from prefect.settings import PREFECT_API_KEY, PREFECT_API_URL, PREFECT_CLOUD_API_URL, temporary_settings

from flows.commands.failures import exit_code_of
from flows.errors import RUN_FAILED
from flows.machinery.configured_server import trouble_with_configured
from flows.prefect_server import ServerNotUsable, prefect_server

URL = "http://eva:secret@plant.example:4200/api"


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[[httpx.Response | Exception], None]:
    """Sets what every request gets."""

    def set_answer(answer: httpx.Response | Exception) -> None:
        def answered(*_: object) -> httpx.Response:
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(httpx.HTTPTransport, "handle_request", answered)

    return set_answer


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (httpx.ConnectError("refused"), ["does not answer (refused)", "Start it"]),
        (httpx.Response(404, text="<html>"), ["answers 404", "ends in /api"]),
        (httpx.Response(200, text="<html>"), ["but is no Prefect server", "ends in /api"]),
        (httpx.Response(200, json={"version": 1}), ["but is no Prefect server"]),
        (httpx.Response(200, json="2.20.1"), ["is Prefect 2.20.1", prefect.__version__, "same version"]),
        (httpx.Response(401, json={}), ["asks for a login", "PREFECT_API_AUTH_STRING"]),
        (httpx.Response(403, text=""), ["asks for a login", "PREFECT_API_KEY"]),
    ],
)
def test_what_it_answers_is_told_with_its_address_and_the_cure(
    answers: Callable[[httpx.Response | Exception], None], answer: httpx.Response | Exception, words: list[str]
) -> None:
    answers(answer)
    began = time.monotonic()
    with temporary_settings({PREFECT_API_URL: URL}), pytest.raises(ServerNotUsable) as told, prefect_server():
        pass
    assert time.monotonic() - began < 5
    for word in ("http://plant.example:4200/api", "Nothing was run", "unset PREFECT_API_URL", *words):
        assert word in str(told.value)
    assert "secret" not in str(told.value)
    assert exit_code_of(told.value) == RUN_FAILED


@pytest.mark.parametrize(
    "url", ["plant.example:4200/api", "http://plant.example:port/api", "ftp://plant.example/api"]
)
def test_what_is_no_address_is_told(url: str) -> None:
    with temporary_settings({PREFECT_API_URL: url}):
        assert url in (trouble_with_configured() or "")


def test_a_socks_proxy_without_its_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    with temporary_settings({PREFECT_API_URL: URL}):
        assert "httpx[socks]" in (trouble_with_configured() or "")


def test_servers_that_can_be_used_are_no_trouble(answers: Callable[[httpx.Response | Exception], None]) -> None:
    answers(httpx.Response(200, json="3.0.0"))
    with temporary_settings({PREFECT_API_URL: URL}):
        assert trouble_with_configured() is None
    answers(httpx.Response(200, text="👋"))  # Prefect Cloud tells no version
    with temporary_settings({PREFECT_API_URL: f"{PREFECT_CLOUD_API_URL.value()}/a", PREFECT_API_KEY: "key"}):
        assert trouble_with_configured() is None
