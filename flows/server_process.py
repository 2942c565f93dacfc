"""The process of the embedded Prefect server, and in it a thread that ends it with its last user.

Run by its path, with nothing of ours imported: `server_process.py USERS ADDRESS PORT`. Every command
that uses the server holds the lock on USERS; the kernel lets go of it however the command ends. So a command that is
killed or interrupted leaves no server behind, and takes none away from another command.

Prefect's own `prefect server start` imports its command line first.
"""

import fcntl
import gc
import os
import signal
import sys
import threading
import time
from pathlib import Path

LOOKS_SECONDS = 0.2
ENDS_SECONDS = 20
"""for what the server still has to write"""


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


def serve(port: int) -> None:
    """On 127.0.0.1, until SIGTERM or SIGINT. Settings come from the environment."""
    gc.disable()  # a heap that only grows, searched for garbage again and again: a fifth of the imports
    import uvicorn  # noqa: PLC0415  # after the line above
    from prefect.server.api.server import create_app  # noqa: PLC0415  # likewise

    app = create_app(final=True)
    gc.freeze()
    gc.enable()
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # which the command that starts it keeps for itself
    watched = Path(sys.argv[1]), Path(sys.argv[2])
    threading.Thread(target=end_with_the_last_user, args=watched, daemon=True).start()
    serve(int(sys.argv[3]))
