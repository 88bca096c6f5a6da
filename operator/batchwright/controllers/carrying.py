"""Carries out what was decided about jobs, each action by a task of its own and once at a time; what fails is decided
again after a while."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from batchwright.cluster.client import ApiClient
from batchwright.controllers import acting
from batchwright.controllers.entries import Entry
from batchwright.controllers.gangs import Gangs
from batchwright.controllers.obstacles import Obstacles
from batchwright.controllers.preempting import Preempting
from batchwright.controllers.refusals import words_for
from batchwright.controllers.store import Store
from batchwright.domain.actions import (
    Action,
    DeleteWork,
    EndAttempt,
    EndWork,
    GiveBack,
    MakeNodes,
    PublishNames,
    ReadObstacle,
    ReadPods,
    ReleasePod,
    StopNodes,
    SuspendWork,
)
from batchwright.domain.observations import Pod
from batchwright.errors import ApiError

ACTION_RETRY_SECONDS = 2.0


class Carrying:
    """`touch` has a job decided at once, `wake` at a time, of which the engine hears by `changed`."""

    def __init__(
        self,
        api: ApiClient,
        store: Store,
        *,
        now: Callable[[], datetime],
        obstacles: Obstacles,
        gangs: Gangs,
        preempting: Preempting,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        wake: Callable[[str, Entry, datetime], None],
        touch: Callable[[str], None],
        changed: Callable[[], None],
        say_refusal: Callable[[Entry, str, str, ApiError], None],
    ) -> None:
        self._api, self._store, self._now = api, store, now
        self._obstacles, self._gangs, self._preempting = obstacles, gangs, preempting
        self._spawn, self._wake, self._touch, self._changed = spawn, wake, touch, changed
        self._say_refusal = say_refusal

    def act(self, uid: str, entry: Entry, action: Action) -> None:
        """Begins what the action says, unless that is under way."""
        if isinstance(action, ReadObstacle):
            self._obstacles.ask(uid, action.work.uid)
            return
        if isinstance(action, GiveBack):
            self._gangs.give_back(uid, entry, action)
            return
        key = f"{type(action).__name__}/{action.pod.uid if isinstance(action, EndAttempt | ReleasePod) else ''}"
        if key not in entry.doing:
            entry.doing.add(key)
            self._spawn(self._carry_out(uid, entry, action, key))

    async def _carry_out(self, uid: str, entry: Entry, action: Action, key: str) -> None:
        try:
            match action:
                case EndAttempt():
                    await acting.end_attempt(self._api, action)
                case ReleasePod() if action.machine:
                    await self._gangs.release(entry, action)
                case ReleasePod():
                    await acting.release_pod(self._api, action)
                    self._let_go(entry, action.pod)
                case MakeNodes():
                    await self._gangs.make(uid, entry, action, key)
                case PublishNames():
                    await self._gangs.publish(uid, entry, action, key)
                case StopNodes():
                    await self._gangs.stop(uid, entry, action, key)
                case DeleteWork():
                    await acting.delete_work(self._api, action.work, propagation="Foreground")
                case EndWork():
                    await acting.end_work(self._api, action.work)
                case SuspendWork():
                    await self._preempting.suspend(entry, action)
                case ReadPods():
                    for pod in await acting.read_pods(self._api, action.work, is_array=entry.is_array):
                        self._store.put_pod(pod.uid, pod)
                    entry.pods_complete = True
                    self._touch(uid)
        except ApiError as error:
            self._say_refusal(entry, "action failed", words_for(action), error)
            self._retry_action(uid, entry, action, key)
        except Exception:
            self._retry_action(uid, entry, action, key)
            raise

    def _let_go(self, entry: Entry, pod: Pod) -> None:
        """Its gate is off: what the watch says of that is not read (cluster.podlines)."""
        if entry.pods.get(pod.uid) == pod:
            self._store.put_pod(pod.uid, replace(pod, gated=False))

    def _retry_action(self, uid: str, entry: Entry, action: Action, key: str) -> None:
        entry.doing.discard(key)
        if entry.array is not None and isinstance(action, EndAttempt | ReleasePod):
            entry.array.elements.look_again(action.pod)
            entry.array.leaving.discard(action.pod.uid)
        self._wake(uid, entry, self._now() + timedelta(seconds=ACTION_RETRY_SECONDS))
        self._changed()
