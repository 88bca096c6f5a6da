"""Runs pytest with the arguments given; what failed runs once more, by itself, and is listed as flaky if it passes.

Three workers with a cluster each share the machine; a runner that is slower than the deadlines of a test fails it. A
defect fails a second time. More than FEW failures are no such thing, and are not tried again.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FEW = 4
FAILED = Path(".pytest_cache/v/cache/lastfailed")


def run(*arguments: str) -> int:
    """The exit code of a pytest of its own."""
    return subprocess.run([sys.executable, "-m", "pytest", *arguments], check=False).returncode


def main(arguments: list[str]) -> int:
    """0: every test has passed, at once or the second time."""
    FAILED.unlink(missing_ok=True)
    code = run(*arguments)
    failed = list(json.loads(FAILED.read_text())) if code == pytest.ExitCode.TESTS_FAILED and FAILED.exists() else []
    if not 0 < len(failed) <= FEW:
        return code
    print("Once more, by itself:", *failed, sep="\n  ", flush=True)
    code = run("-x", *failed)
    if code == 0:
        print("FLAKY, passed the second time; each of these is a defect to find:", *failed, sep="\n  ", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
