"""rd-inspect review: what it refuses, and that it serves."""

import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from typer.testing import CliRunner

from flows.cli import app
from storage.filesystem import LocalStore


@pytest.mark.parametrize("host", ["0.0.0.0", "10.1.2.3", "plant.example"])
def test_off_this_machine_it_does_not_start_without_a_token(store: LocalStore, host: str) -> None:
    refused = CliRunner().invoke(app, ["review", "--store", store.uri, "--host", host])
    assert refused.exit_code == 2
    assert "Give --token a long secret" in " ".join(refused.output.split())


def test_what_else_it_refuses(store: LocalStore) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for wrong, told in (
            (["--store", f"{store.uri}/nowhere"], "is not a folder"),
            (["--store", store.uri, "--reviewer", "a\x07"], "a reviewer's name"),
            (["--store", store.uri, "--port", port], f"--port {port}: cannot listen there"),
        ):
            refused = CliRunner().invoke(app, ["review", *wrong])
            assert refused.exit_code == 2
            assert told in " ".join(refused.output.split())


def test_it_serves_those_with_the_token(store: LocalStore, keys: dict[str, str]) -> None:
    command = [
        sys.executable,
        "-c",
        "from flows.cli import main; main()",
        "review",
        "--store",
        store.uri,
        "--port",
        "0",
    ]
    command += ["--token", "a long secret & more"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "200"}) as server:
        try:
            line = server.stderr.readline()
            assert "?token=a+long+secret+%26+more" in line
            url = line.split()[-1]
            opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
            assert b"Review" in opener.open(url, timeout=20).read()
            with pytest.raises(urllib.error.HTTPError, match="401"):
                urllib.request.urlopen(url.partition("?")[0], timeout=20)
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(timeout=20)
