"""10,000 malformed and hostile objects: huge arrays, deep specs, odd letters, fat environments, cycles, forgery."""

from __future__ import annotations

from chaos.ground import Ground
from chaos.hostility import Hostile, as_json

NAME = "hostile-objects"
# So many are let live at one time; with all of them the control plane, not the operator, would be on trial.
AT_ONCE = 300


def inject(ground: Ground) -> None:
    """Sends them to a queue whose environment has no node, so that none of them takes the others' room; the operator
    that was there before must be there afterwards."""
    ground.environment("nowhere", group="nowhere")
    queue = ground.queue("nowhere", f"{ground.namespace}-nowhere")
    with_all = ground.operator.pid
    hostile = Hostile(ground.namespace, queue, ground.chance)
    taken: list[tuple[str, str]] = []
    for sent, manifest in enumerate(hostile.objects(ground.objects), start=1):
        kind = manifest["kind"]
        status = ground.api.post_once(_path(manifest), as_json(manifest))
        if status >= 300:
            ground.strike(NAME, f"{kind} refused with {status}")
        else:
            ground.strike(NAME, f"{kind} taken")
            taken.append((kind, manifest["metadata"]["name"]))
        if len(taken) >= AT_ONCE:
            _look_and_remove(ground, taken)
        if sent == min(AT_ONCE, ground.objects):
            # It must also be able to start among them.
            _must_live(ground, with_all)
            ground.operator.kill()
            ground.operator.start()
            with_all = ground.operator.pid
    _look_and_remove(ground, taken)
    _must_live(ground, with_all)


def _must_live(ground: Ground, pid: int) -> None:
    if ground.operator.has_ended or ground.operator.pid != pid:
        raise AssertionError(f"the operator ended:\n{ground.operator.log[-3000:]}")


def _look_and_remove(ground: Ground, taken: list[tuple[str, str]]) -> None:
    """Each BatchJob that was taken says something of itself; then all of them go."""
    names = {name for kind, name in taken if kind == "BatchJob"}

    def silent() -> set[str]:
        return {name for name, status in ground.statuses().items() if name in names and not status.get("state")}

    if not ground.until(lambda: not silent(), 60):
        raise AssertionError(f"without a state after a minute: {sorted(silent())[:10]}")
    for kind, name in taken:
        ground.api.delete(kind, name, ground.namespace)
    taken.clear()


def _path(manifest: dict[str, object]) -> str:
    places = {
        "BatchJob": "/apis/batchwright.io/v1alpha1/namespaces/{}/batchjobs",
        "JobDefinition": "/apis/batchwright.io/v1alpha1/namespaces/{}/jobdefinitions",
        "Pod": "/api/v1/namespaces/{}/pods",
        "Job": "/apis/batch/v1/namespaces/{}/jobs",
    }
    metadata = manifest["metadata"]
    assert isinstance(metadata, dict)
    return places[str(manifest["kind"])].format(metadata["namespace"])
