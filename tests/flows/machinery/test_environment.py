"""A plant's proxies: past them to this machine, through them to all others."""

import urllib.request

import httpx
import pytest

from flows.machinery.environment import around_loopback, environment, is_loopback

NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("spared", [{}, {"NO_PROXY": "mes.plant, 10.0.0.1"}, {"no_proxy": "mes.plant,10.0.0.1"}])
def test_this_machine_is_reached_directly_and_what_was_spared_stays_so(
    monkeypatch: pytest.MonkeyPatch, name: str, spared: dict[str, str]
) -> None:
    for variable, value in {name: "http://proxy.plant:3128", **spared}.items():
        monkeypatch.setenv(variable, value)
    with environment(around_loopback()):
        assert urllib.request.proxy_bypass("127.0.0.1:4200") and urllib.request.proxy_bypass("localhost")
        assert not urllib.request.proxy_bypass("s3.example")
        assert bool(urllib.request.proxy_bypass("mes.plant")) == bool(spared)
        assert "http://proxy.plant:3128" in urllib.request.getproxies().values()
    assert not urllib.request.proxy_bypass("127.0.0.1:4200")


def test_httpx_begins_beside_a_socks_proxy_and_other_proxies_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://proxy.plant:1080")
    monkeypatch.setenv("HTTPS_PROXY", "proxy.plant:3128")
    with pytest.raises(ImportError):
        httpx.Client()
    with environment(around_loopback()):
        httpx.Client().close()
        told = urllib.request.getproxies()
        assert (told["https"], "all" in told) == ("proxy.plant:3128", False)


def test_nothing_is_changed_where_no_proxy_is_named_or_all_are_spared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "mes.plant")
    assert around_loopback() == {}
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.plant:3128")
    monkeypatch.setenv("NO_PROXY", "*")
    assert around_loopback() == {}


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:4200/api", True), ("http://localhost/api", True), ("http://[::1]:4200/api", True),
        ("https://prefect.plant/api", False), ("nonsense", False), ("http://[/api", False),
    ],
)  # fmt: skip
def test_which_addresses_are_of_this_machine(url: str, here: bool) -> None:
    assert is_loopback(url) == here
