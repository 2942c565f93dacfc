"""The process of the embedded Prefect server, and in it a thread that ends it with its last user.

Run by its path, with nothing of ours imported: `server_process.py USERS ADDRESS PORT`. Every command
that uses the server holds the lock on USERS; the kernel lets go of it however the command ends. So a command that is
killed or interrupted leaves no server behind, and takes none away from another command.

Prefect's own `prefect server start` imports its command line first.
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
"""for what the server still has to write"""
BUSY = 503
"""Prefect's answer when SQLite is locked: two writers met, and one must ask again"""
PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8)
"""seconds between tries of a request that met another writer; Prefect's clients wait two at once"""


def end_with_the_last_user(users: Path, address: Path) -> None:
    """Wait until no command holds `users`, take `address` away, so that none finds it any more, and end this process.

    The lock is kept until the process is gone: a command that begins meanwhile waits, and starts the next server.
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
    """`app`, which asks itself again when the database was busy, before it tells a client, who would wait far longer.

    What was answered so had written nothing; Prefect's clients ask again, too.
    """

    async def ask(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        asked = [await receive()]
        while asked[-1].get("more_body"):
            asked.append(await receive())
        for pause in (*PAUSES, None):
            answer, error = await _answer(app, scope, asked, receive)
            if pause is None or not answer or answer[0].get("status") != BUSY:
                break
            await asyncio.sleep(pause)
        for message in answer:
            await send(message)
        if error:
            raise error

    return ask


async def _answer(
    app: App, scope: Message, asked: list[Message], receive: Receive
) -> tuple[list[Message], Exception | None]:
    """All messages of one try, to which the request is told from its beginning, and what it raised behind them: with
    Prefect's answer to an error comes the error itself, for the log."""
    told = iter(asked)
    answer: list[Message] = []

    async def again() -> Message:
        return next(told, None) or await receive()

    async def keep(message: Message) -> None:
        answer.append(message)

    try:
        await app(dict(scope), again, keep)
    except Exception as e:  # noqa: BLE001  # is raised again with the answer, unless another try does without it
        return answer, e
    return answer, None


def serve(port: int) -> None:
    """On 127.0.0.1, until SIGTERM or SIGINT. Settings come from the environment."""
    gc.disable()  # a heap that only grows, searched for garbage again and again: a fifth of the imports
    import uvicorn  # noqa: PLC0415  # imported while no garbage is looked for
    from prefect.server.api.server import create_app  # noqa: PLC0415  # imported while no garbage is looked for

    app = create_app(final=True)
    gc.freeze()
    gc.enable()
    uvicorn.run(patient(app), host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # which the command that starts it keeps for itself
    watched = Path(sys.argv[1]), Path(sys.argv[2])
    threading.Thread(target=end_with_the_last_user, args=watched, daemon=True).start()
    serve(int(sys.argv[3]))
