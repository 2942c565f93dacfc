"""Whether a command can use the configured Prefect server."""

import httpx
import prefect
from packaging import version
from prefect._internal.urls import strip_auth_from_url
from prefect.client.base import ServerType
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

_PATIENCE = httpx.Timeout(5, connect=2)
"""seconds. With Prefect's retries, a missing server is reported after 12 to 21 s; with its defaults, after minutes"""
_LOGIN = (401, 403)


def trouble_with_configured(*, or_own: bool = True) -> str | None:
    """Why the configured server cannot be used, with consequence and cure; None if it can.

    `or_own`: whether the command may start its own server instead.
    """
    where = strip_auth_from_url(PREFECT_API_URL.value() or "")
    try:
        theirs = _version_of_configured()
    except httpx.HTTPStatusError as e:
        what, cure = _of_answer(e.response.status_code)
    except ImportError:
        what, cure = "lies behind a SOCKS proxy", "Run pip install 'httpx[socks]'"
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as e:
        what, cure = f"does not answer ({e})", "Start it, correct the address"
    except (ValueError, TypeError):  # no JSON, or no version in it
        what, cure = "answers, but is no Prefect server", "Correct the address, which ends in /api"
    else:
        ours = version.parse(prefect.__version__)
        if theirs is None or theirs.major == ours.major:
            return None
        what, cure = f"is Prefect {theirs}, and this is {ours}", "Install the same version on both sides"
    own = ", or unset PREFECT_API_URL (in a profile: prefect config unset PREFECT_API_URL), and the command starts a "
    return (
        f"The Prefect server {where}, which PREFECT_API_URL or the active Prefect profile names, {what}. Nothing was "
        f"run. {cure}{own + 'server of its own' if or_own else ''}."
    )


def _version_of_configured() -> version.Version | None:
    """None for Prefect Cloud, which fits every client."""
    with (
        temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 1}),
        get_client(sync_client=True, httpx_settings={"timeout": _PATIENCE}) as client,
    ):
        if client.server_type != ServerType.CLOUD:
            return version.parse(client.api_version())
        client.hello()
        return None


def _of_answer(status: int) -> tuple[str, str]:
    if status in _LOGIN:
        return (
            f"asks for a login (answer {status})",
            "Set PREFECT_API_AUTH_STRING=user:password, or PREFECT_API_KEY for Prefect Cloud, as the server expects",
        )
    return f"answers {status}, which no working Prefect server does", "Correct the address, which ends in /api"
