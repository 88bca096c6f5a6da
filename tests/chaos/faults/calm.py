"""Nothing strikes: the control, which shows that the workload by itself ends as it must."""

from __future__ import annotations

from chaos.ground import Ground


def inject(ground: Ground) -> None:
    """Waits until the workload has ended."""
    ground.strike("calm")
    ground.until(lambda: not ground.open_jobs(), 120)
