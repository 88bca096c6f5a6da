"""kill -9 of the API server, and its start: all watches end, their places are forgotten, requests are refused."""

from __future__ import annotations

from chaos.ground import Ground

NAME = "api-server-restart"


def inject(ground: Ground) -> None:
    """Restarts it at a moment by chance."""
    for _ in range(1 if ground.bounded else 2):
        ground.pause(ground.chance.uniform(0.5, 4.0))
        away = ground.restart_component("kube-apiserver")
        ground.strike(NAME)
        ground.note(NAME, f"ready again after {away:.1f} s")
