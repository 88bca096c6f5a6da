"""The life of a multi-node job: its main node's, and what becomes of the others.

The main node is a single job (`lifecycle.decide`); this decides when it may start, when the others do and when they are
stopped. They are all or nothing: a node whose machine is lost, or that does not run in time, sends all of them back to
RUNNABLE (`GiveBack`), where the room of all is given back. Only the main node's end counts (AWS Batch User Guide,
multi-node parallel jobs), unless failurePolicy is AnyNode, or evaluateOnExit says something of a lost machine.

Level-triggered as `lifecycle`. The main node's pod is what the others belong to: those of another one are stopped, and
the next attempt begins when none is left. No final state is told while a node still runs.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from batchwright import names
from batchwright.api.v1alpha1.batchjob import BatchJobStatus
from batchwright.api.v1alpha1.multinode import NodePropertiesDetail
from batchwright.domain import reasons
from batchwright.domain.actions import (
    Action,
    EndAttempt,
    GiveBack,
    MakeNodes,
    Notice,
    PublishNames,
    ReadObstacle,
    ReleasePod,
    StopNodes,
    SuspendWork,
)
from batchwright.domain.attempts import ending, lost_node, merge, was_lost
from batchwright.domain.gangnames import Published, are_published, publish_at
from batchwright.domain.lifecycle import (
    OBSTACLE_SECONDS,
    POD_DUE_SECONDS,
    Decision,
    View,
    decide,
    present_status,
)
from batchwright.domain.observations import FINAL_STATES, Pod, Work
from batchwright.domain.retry import is_decided
from batchwright.domain.texts import bounded, timestamp

# The Job controller waits up to so long before it makes the pod of a retry (MaxJobPodFailureBackOff).
RETRY_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class GangView:
    """What a decision about a multi-node job looks at besides.

    `size` counts all nodes, `main` is the number of the main one; `machines` has theirs by rank, empty where nobody
    knows; `nodes` are the pods of those that are not the main one, also of those that ended and are gone, `made` the
    names of those that were made and have not been seen; `usable` the machines that take pods; `making` whether pods
    are being made; `lost` is the node that vanished under us last; `gone` the machines with nodes on them that are no
    more; `vacant_since` is since when the main node has no pod although it is to have one, `released` since when one
    is let start, or is to be, by its uid; `published` is which names have been.
    """

    size: int
    main: int
    machines: tuple[str, ...]
    nodes: tuple[Pod, ...]
    usable: Container[str]
    start_seconds: int
    fails_with_any: bool = False
    making: bool = False
    made: frozenset[str] = frozenset()
    lost: Pod | None = None
    vacant_since: datetime | None = None
    released: tuple[str, datetime] | None = None
    gone: frozenset[str] = frozenset()
    published: Published | None = None

    def released_at(self, main: Pod) -> datetime | None:
        """Since when this pod of the main node is let start, or is to be; None where nobody knows."""
        return self.released[1] if self.released is not None and self.released[0] == main.uid else None


def decide_gang(view: View, gang: GangView, now: datetime) -> Decision:
    """What to do about one multi-node job. Total: every view has an answer."""
    decision = _decide(view, gang, now)
    if view.job.status.state in FINAL_STATES:
        return decision
    detail = NodePropertiesDetail(num_nodes=gang.size, main_node=gang.main)
    return replace(decision, status=decision.status.model_copy(update={"node_properties": detail}))


def _decide(view: View, gang: GangView, now: datetime) -> Decision:
    decision = decide(view, now)
    work, main = view.work, _main_pod(view)
    if work is None or work.is_finished or work.deleting or work.suspended or view.preempting:
        main = None
    if view.job.spec.terminate is not None:
        main = None
    live = tuple(pod for pod in gang.nodes if not pod.is_finished)
    strays = tuple(pod for pod in live if main is None or pod.main != main.uid)
    stops = tuple(pod for pod in strays if not pod.deleting)
    stop: tuple[Action, ...] = (StopNodes(tuple(sorted({pod.main for pod in stops}))),) if stops else ()
    if decision.is_final:
        if not stops and not gang.making and not gang.made and all(pod.node for pod in live):
            return decision
        status = present_status(view, view.job.status.state or "RUNNING", "Stopping the other nodes")
        return Decision(status, actions=stop)
    if work is None or main is None or any(isinstance(each, EndAttempt | SuspendWork) for each in decision.actions):
        # Where it starts next, its room and its names are free.
        is_clear = not live and not gang.made and not gang.making
        if work is not None and not decision.is_final and gang.vacant_since is not None:
            decision = _vacant(view, gang, work, decision, gang.vacant_since, now)
        return replace(decision, runnable=decision.runnable and is_clear, actions=decision.actions + stop)
    if main.gated:
        return _gated(view, gang, work, decision, main, strays, stop, now)
    return _under_way(view, gang, work, decision, main, stop, now)


def _main_pod(view: View) -> Pod | None:
    """The main node's pod as long as it is to run."""
    live = [pod for pod in view.pods if not pod.is_finished]
    pod = max(live, key=lambda each: (each.failures, each.created_at), default=None)
    return None if pod is None or pod.deleting or pod.mark is not None else pod


def _vacant(view: View, gang: GangView, work: Work, decision: Decision, since: datetime, now: datetime) -> Decision:
    """The main node has no pod: a quota or a webhook may keep it from having one for ever, and all the room with it."""
    if work.is_finished or work.deleting or view.job.spec.terminate is not None:
        return decision
    # For a retry the Job controller takes its time.
    due = since + timedelta(seconds=RETRY_SECONDS if view.pods or decision.status.attempts else 0)
    deadline = due + timedelta(seconds=gang.start_seconds)
    if now >= deadline:
        text = f"The main node had no pod for {gang.start_seconds} s"
        return _give_back(decision, work, f"{text}. {view.obstacle}" if view.obstacle else text)
    actions, wake_at = decision.actions, _earlier(decision.wake_at, deadline)
    if now >= due + timedelta(seconds=POD_DUE_SECONDS) and not actions:
        actions = (ReadObstacle(work),)
        wake_at = min(wake_at, now + timedelta(seconds=OBSTACLE_SECONDS))
    return replace(decision, actions=actions, wake_at=wake_at)


def _gated(
    view: View,
    gang: GangView,
    work: Work,
    decision: Decision,
    main: Pod,
    strays: tuple[Pod, ...],
    stop: tuple[Action, ...],
    now: datetime,
) -> Decision:
    """The main node waits for leave: it starts once the nodes of the attempt before it are gone."""
    others = tuple(action for action in decision.actions if not isinstance(action, ReleasePod))
    if strays or gang.making or gang.made:
        text = f"{len(strays) or 'The'} nodes of the attempt before are being stopped"
        return replace(decision, status=_saying(decision, text), actions=others + stop)
    away = [machine for machine in gang.machines if machine not in gang.usable]
    if away or not gang.machines:
        where = f"{_listed(away)} is not to be had" if away else "nobody knows where the nodes are to run"
        return _give_back(decision, work, f"The nodes go back: {where}")
    if len(others) == len(decision.actions):
        return decision
    actions = (*others, ReleasePod(main, gang.machines[0]))
    tried_at = gang.released_at(main)
    if tried_at is None:
        return replace(decision, actions=actions)
    deadline = tried_at + timedelta(seconds=gang.start_seconds)
    if now >= deadline:
        text = f"The main node was not let start within {gang.start_seconds} s"
        return _give_back(decision, work, f"{text}. {view.obstacle}" if view.obstacle else text)
    status = _saying(decision, view.obstacle) if view.obstacle else decision.status
    return replace(decision, status=status, actions=actions, wake_at=_earlier(decision.wake_at, deadline))


def _under_way(
    view: View,
    gang: GangView,
    work: Work,
    decision: Decision,
    main: Pod,
    stop: tuple[Action, ...],
    now: datetime,
) -> Decision:
    begun = _begun_ending(view, main)
    if begun:
        return _fail_attempt(view, decision, main, begun, stop)
    nodes = [pod for pod in gang.nodes if pod.main == main.uid]
    # Kubernetes takes its time (40 s) to say of a pod that its machine is no more.
    away = (pod for pod in (main, *nodes) if pod.node in gang.gone and not pod.is_finished)
    lost = next(away, None) or next((pod for pod in nodes if is_lost(pod)), None)
    if lost is None and gang.lost is not None and gang.lost.main == main.uid:
        lost = gang.lost
    if lost is not None:
        number, how = gang.main if lost is main else lost.index, _how_lost(lost, view, gang)
        text = f"{reasons.NODE_FAILED_PREFIX}{number}: {how}"
        if _ends_attempt(view, text):
            return _fail_attempt(view, decision, main, text, stop)
        return _give_back(decision, work, text, stop)
    if gang.fails_with_any:
        failed = next((pod for pod in nodes if pod.phase == "Failed"), None)
        if failed is not None:
            code = "" if failed.exit_code is None else f", exit code {failed.exit_code}"
            text = f"{reasons.NODE_FAILED_PREFIX}{failed.index} failed{code}"
            return _fail_attempt(view, decision, main, text, stop)
    if have_run(view.job.status, main):
        return replace(decision, actions=decision.actions + stop)
    decision = _publish(gang, work, decision, main, nodes, now)
    # Its pod may have waited at its gate for long. An operator that has started since knows when its kubelet took it.
    began = main.started_at or gang.released_at(main) or main.accepted_at or main.created_at
    deadline = began + timedelta(seconds=gang.start_seconds)
    starting = [pod for pod in (main, *nodes) if not pod.is_up]
    missing = gang.size - 1 - len(nodes)
    if not missing and not starting:
        # That it has run is told by its status, and includes that its nodes were to be found.
        is_told = are_published((main, *nodes), gang.published)
        status = (
            decision.status if is_told else _saying(decision, view.obstacle or "The nodes' names are being published")
        )
        return replace(decision, status=status, actions=decision.actions + stop)
    if now >= deadline:
        return _give_back(decision, work, _late(gang, starting, missing, main), stop)
    wake_at = _earlier(decision.wake_at, deadline)
    actions = decision.actions + stop
    status = decision.status
    if main.started_at is not None:
        present = gang.made.union(pod.name for pod in nodes)
        if len(present) < gang.size - 1 and main.address and not gang.making and len(gang.machines) == gang.size:
            actions += (MakeNodes(work, main, present),)
        told = f"{missing + len(starting)} of {gang.size} nodes have yet to start"
        status = _saying(decision, f"{told}. {view.obstacle}" if view.obstacle else told)
    return replace(decision, status=status, actions=actions, wake_at=wake_at)


def _publish(gang: GangView, work: Work, decision: Decision, main: Pod, nodes: list[Pod], now: datetime) -> Decision:
    due = publish_at(main, nodes, gang.size, gang.published, now)
    if due is None:
        return decision
    if due > now:
        return replace(decision, wake_at=_earlier(decision.wake_at, due))
    return replace(decision, actions=(*decision.actions, PublishNames(work, (main, *nodes))))


def have_run(status: BatchJobStatus, main: Pod) -> bool:
    """Whether all nodes have run with this main node, by the status on record: it runs, and none is said to be missing.
    Then the absence of a node is no loss: it may have ended, and its pod have gone, while no operator looked."""
    if status.state != "RUNNING" or status.status_reason is not None or main.started_at is None:
        return False
    return status.started_at == timestamp(main.started_at)


def is_lost(pod: Pod) -> bool:
    """Whether the pod of a node went without its own doing: its machine was lost, or somebody took it."""
    return pod.phase != "Succeeded" and (pod.deleting or was_lost(pod))


def _how_lost(pod: Pod, view: View, gang: GangView) -> str:
    if was_lost(pod) or pod.node in gang.gone:
        return reasons.host_terminated(view.instances.get(pod.node, pod.node))
    return f"its pod {pod.name} was deleted" if pod.deleting else f"its pod {pod.name} is gone"


def _late(gang: GangView, starting: list[Pod], missing: int, main: Pod) -> str:
    text = f"Not all of {gang.size} nodes ran within {gang.start_seconds} s"
    if not starting:
        return f"{text}: {missing} pods could not be made"
    worst = max(
        starting,
        key=lambda pod: (bool(pod.waiting_reason), bool(pod.unschedulable), pod.started_at is None, pod.name),
    )
    why = worst.waiting_message or worst.waiting_reason or worst.unschedulable
    why = why or ("it has not started" if worst.started_at is None else "it runs, and does not become ready")
    return f"{text}. Node {gang.main if worst is main else worst.index}: {why}"


def _give_back(decision: Decision, work: Work, text: str, stop: tuple[Action, ...] = ()) -> Decision:
    why = bounded(text)
    notice = Notice("GaveBack", bounded(f"{text}. All nodes wait for room again"), warning=True)
    return Decision(_saying(decision, why), actions=(GiveBack(work, why), *stop), notices=(notice,))


def _ends_attempt(view: View, text: str) -> bool:
    """Whether evaluateOnExit says something of this loss of a node: then it decides, as for a single job."""
    lost = lost_node(text)
    return lost is not None and is_decided(view.rules.evaluate_on_exit, lost)


def _begun_ending(view: View, main: Pod) -> str:
    """Why the attempt is to end, where that is on record and not done yet: an operator that has started since may not
    find the node by which it was decided."""
    for each in view.job.status.attempts:
        said = each.status_reason or ""
        if each.container.pod_name == main.name and not each.stopped_at:
            if said.startswith(reasons.NODE_FAILED_PREFIX):
                return said
            if said.startswith(reasons.HOST_TERMINATED_PREFIX):
                return f"{each.container.reason}: {said}"
    return ""


def _fail_attempt(view: View, decision: Decision, main: Pod, why: str, stop: tuple[Action, ...]) -> Decision:
    """The attempt ends with another node's failure (failurePolicy AnyNode), or with the loss of a node."""
    text = bounded(why)
    action = EndAttempt(main, names.POD_CONDITION_NODE_FAILED, "NodeFailed", text)
    # On record before it is done, as for timeouts (lifecycle).
    noted = merge(decision.status.attempts, (ending(action, view.instances),))
    status = decision.status.model_copy(update={"attempts": noted, "status_reason": text})
    actions: tuple[Action, ...] = (action,) if main.name in view.noted else ()
    return replace(decision, status=status, actions=actions + stop)


def _earlier(one: datetime | None, other: datetime) -> datetime:
    return other if one is None else min(one, other)


def _saying(decision: Decision, text: str) -> BatchJobStatus:
    return decision.status.model_copy(update={"status_reason": bounded(text)})


def _listed(machines: list[str]) -> str:
    return ", ".join(machines[:3]) + (f" and {len(machines) - 3} more" if len(machines) > 3 else "")
