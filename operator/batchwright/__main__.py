"""`python -m batchwright`: the command line, for where no script directory is on PATH (containers)."""

from __future__ import annotations

from batchwright.cli.main import main

if __name__ == "__main__":
    main()
