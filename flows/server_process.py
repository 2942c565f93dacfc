"""The process of the embedded Prefect server: Prefect's command line, and a thread that ends it with its last user.

Run by its path, with nothing of ours imported: `server_process.py USERS ADDRESS server start ...`. Every command
that uses the server holds the lock on USERS; the kernel lets go of it however the command ends. So a command that is
killed or interrupted leaves no server behind, and takes none away from another command.
"""

import fcntl
import os
import runpy
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


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # which the command that starts it keeps for itself
    watched = Path(sys.argv[1]), Path(sys.argv[2])
    threading.Thread(target=end_with_the_last_user, args=watched, daemon=True).start()
    sys.argv = ["prefect", *sys.argv[3:]]
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)
