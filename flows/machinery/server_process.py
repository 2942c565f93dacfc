"""The process of the embedded Prefect server, with a thread that ends it after its last user.

Run by its path, importing nothing of ours: `server_process.py USERS ADDRESS PORT`. Every command that uses the
server holds a lock on USERS, which the kernel releases however the command ends. So a killed command leaves no
server behind, and takes none from another command.
"""

import asyncio
import fcntl
import gc
import os
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
"""of ASGI"""

LOOKS_SECONDS = 0.2
ENDS_SECONDS = 20
"""for the server's last writes"""
BUSY = 503
"""Prefect's answer when SQLite is locked by another writer"""
PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8)
"""seconds between tries of such a request; Prefect's clients wait two at once"""


def end_with_the_last_user(users: Path, address: Path) -> None:
    """Wait until no command holds `users`, remove `address`, and end this process.

    The lock is held until the process is gone: a command that begins meanwhile waits, then starts the next server.
    """
    with users.open() as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(LOOKS_SECONDS)
        address.unlink(missing_ok=True)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(ENDS_SECONDS)
        os._exit(1)


def patient(app: App) -> App:
    """Wrap `app` so that it retries a request when the database was busy; Prefect's clients would wait far longer.

    Such an answer means that nothing was written.
    """

    async def ask(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        request = [await receive()]
        while request[-1].get("more_body"):
            request.append(await receive())
        for pause in (*PAUSES, None):
            answer, error = await _answer(app, scope, request, receive)
            if pause is None or not answer or answer[0].get("status") != BUSY:
                break
            await asyncio.sleep(pause)
        for message in answer:
            await send(message)
        if error:
            raise error

    return ask


async def _answer(
    app: App, scope: Message, request: list[Message], receive: Receive
) -> tuple[list[Message], Exception | None]:
    """The answer of one try, and its exception: Prefect answers an error, then raises it for the log. The request
    is replayed from its beginning."""
    messages = iter(request)
    answer: list[Message] = []

    async def again() -> Message:
        return next(messages, None) or await receive()

    async def keep(message: Message) -> None:
        answer.append(message)

    try:
        await app(dict(scope), again, keep)
    except Exception as e:  # noqa: BLE001  # is raised again with the answer, unless another try does without it
        return answer, e
    return answer, None


def serve(port: int) -> None:
    """Serve on 127.0.0.1 until SIGTERM or SIGINT. Settings come from the environment."""
    gc.disable()  # the heap only grows, and garbage collection takes a fifth of the import time
    import uvicorn  # noqa: PLC0415  # after gc.disable(), which saves a fifth of the import
    from prefect.server.api.server import create_app  # noqa: PLC0415  # after gc.disable(), which saves a fifth of the import

    app = create_app(final=True)
    gc.freeze()
    gc.enable()
    uvicorn.run(patient(app), host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # which the command that starts it keeps for itself
    watched = Path(sys.argv[1]), Path(sys.argv[2])
    threading.Thread(target=end_with_the_last_user, args=watched, daemon=True).start()
    serve(int(sys.argv[3]))
