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
    ground.api.request("DELETE", f"{path}/full")
    held = [
        event
        for event in ground.api.list("Event", ground.namespace)
        if "exceeded quota" in event.get("message", "") or "forbidden" in event.get("message", "")
    ]
    ground.strike(NAME, count=len(held))
