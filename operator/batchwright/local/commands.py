"""Programs of the host: finding them, and running them to their end with a deadline and a useful error."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import IO, Final

from batchwright.errors import LocalError

# A user's PATH often lacks the sbin directories, where ip, nft and runc are.
SEARCH_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LAST_LINES: Final = 15


def require(program: str, package: str) -> str:
    """The full path of `program`; LocalError names the Debian package that carries it."""
    found = shutil.which(program, path=SEARCH_PATH)
    if found is None:
        raise LocalError(f"the program {program} is missing; install it: apt-get install {package}")
    return found


def run(
    command: Sequence[str],
    *,
    what: str,
    timeout: float = 20.0,
    stdin: IO[bytes] | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a program to its end and return its standard output; `timeout` is in seconds.

    Raises LocalError, which begins with `what` and ends with the program's last lines, on any exit code but 0.
    """
    try:
        done = subprocess.run(
            command,
            stdin=stdin or subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            env={**os.environ, "PATH": SEARCH_PATH, **(environment or {})},
            check=False,
        )
    except FileNotFoundError as error:
        raise LocalError(f"{what}: the program {command[0]} is missing") from error
    except subprocess.TimeoutExpired as error:
        raise LocalError(f"{what}: not done within {timeout:.0f} s: {' '.join(command)}") from error
    if done.returncode != 0:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-_LAST_LINES:])
        raise LocalError(f"{what}: exit code {done.returncode} from {' '.join(command)}: {last}")
    return done.stdout
