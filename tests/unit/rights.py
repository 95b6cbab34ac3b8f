"""Run something as a user whom the rights of files hold back."""

import os
from collections.abc import Callable
from pathlib import Path

NOBODY = 65534


def holds_for_others(folder: Path, promise: Callable[[], bool]) -> bool:
    """Return what `promise` returns to somebody who is not root; `folder` is that of the test, which others may enter."""
    child = os.fork()
    if not child:
        if os.geteuid() == 0:
            for parent in [folder, *folder.parents][:3]:
                parent.chmod(0o755)
            os.setuid(NOBODY)
        try:
            os._exit(0 if promise() else 1)
        except BaseException:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
