"""Has Python collect its garbage each second, in a process that is started with this directory in its PYTHONPATH.

For measurements of memory: the operator lets the collector look seldom (`process.spare_the_collector`), so that tens of
MiB of cycles, most of them kopf's, may wait for it; what grows is to be told from what waits.
"""

from __future__ import annotations

import gc
import threading
import time

SECONDS = 1.0


def _collect_for_ever() -> None:
    while True:
        time.sleep(SECONDS)
        gc.collect()


threading.Thread(target=_collect_for_ever, name="collector", daemon=True).start()
