"""kill -9 of etcd, and its start: the API server answers with errors for some seconds."""

from __future__ import annotations

from chaos.ground import Ground

NAME = "etcd-restart"


def inject(ground: Ground) -> None:
    """Restarts it at a moment by chance."""
    for _ in range(1 if ground.bounded else 2):
        ground.pause(ground.chance.uniform(0.5, 4.0))
        away = ground.restart_component("etcd")
        ground.strike(NAME)
        ground.note(NAME, f"ready again after {away:.1f} s")
