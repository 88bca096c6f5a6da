"""The namespace's quota of Jobs and pods is filled while work goes on, and widened again."""

from __future__ import annotations

from chaos.ground import Ground

NAME = "quota-filled"


def inject(ground: Ground) -> None:
    """No Job and no pod more than there are."""
    path = f"/api/v1/namespaces/{ground.namespace}/resourcequotas"
    ground.pause(ground.chance.uniform(0.3, 1.5))
    full = {"hard": {"count/jobs.batch": "0", "pods": "0"}}
    ground.api.request(
        "POST", path, {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full"}, "spec": full}
    )
    ground.pause(ground.lasting(6, 20))
    ground.until_struck(lambda: _held(ground) > 0)
    ground.api.request("DELETE", f"{path}/full")
    ground.strike(NAME, count=_held(ground))


def _held(ground: Ground) -> int:
    """Of how many things it was said that the quota let them not be."""
    events = ground.api.list("Event", ground.namespace)
    return sum("exceeded quota" in event.get("message", "") for event in events)
