"""Whatever the cluster does, and whenever the operator dies: states go the allowed way, attempts are recorded once."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import builders as b
from batchwright.api.v1alpha1 import BatchJobStatus
from batchwright.domain.lifecycle import Rules
from batchwright.domain.observations import FINAL_STATES
from property.world import World, pass_time

ORDER = ("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING")
EVALUATE = st.sampled_from(
    [
        (),
        (b.exit_rule("EXIT", onExitCode="3"),),
        (b.exit_rule("RETRY", onStatusReason="Host EC2*"), b.exit_rule("EXIT", onReason="*")),
        (b.exit_rule("EXIT", onReason="OutOfMemoryError*"),),
        (b.exit_rule("EXIT", onReason="OutOfMemoryError*"), b.exit_rule("RETRY", onExitCode="*")),
        (b.exit_rule("RETRY", onReason="CannotPull*"), b.exit_rule("EXIT", onExitCode="*")),
    ]
)
ENDINGS = st.sampled_from([0, 1, 3, 137])


class Life(RuleBasedStateMachine):
    """Hypothesis picks who moves next."""

    world: World
    checked = 0

    @initialize(attempts=st.sampled_from([1, 2, 2, 3]), evaluate=EVALUATE, timeout=st.sampled_from([None, 30]))
    def submitted(self, attempts: int, evaluate: tuple, timeout: int | None) -> None:  # type: ignore[type-arg]
        self.world = World(Rules(attempts, evaluate, timeout))

    # Most of the time all goes on in good order, or a history would hardly get anywhere in forty steps.
    @rule(written=st.booleans(), jobs_first=st.booleans())
    def all_goes_on(self, written: bool, jobs_first: bool) -> None:
        world = self.world
        world.control()
        for see in (world.see_work, world.see_pod) if jobs_first else (world.see_pod, world.see_work):
            for _ in range(4):
                see()
            world.look()
        if written:
            world.write()

    @rule(count=st.integers(1, 3))
    def watch_jobs(self, count: int) -> None:
        for _ in range(count):
            self.world.see_work()
        self.world.look()

    @rule(count=st.integers(1, 3))
    def watch_pods(self, count: int) -> None:
        for _ in range(count):
            self.world.see_pod()
        self.world.look()

    @rule()
    def control(self) -> None:
        self.world.control()

    @rule(how=st.sampled_from(["at rest", "unwritten", "decided, not done"]))
    def the_operator_dies(self, how: str) -> None:
        if how == "decided, not done":
            self.world.look(act=False)
            return
        if how == "at rest":
            self.world.write()
        self.world.restart()

    @rule(seconds=st.sampled_from([1, 20, 70]))
    def wait(self, seconds: int) -> None:
        pass_time(self.world, seconds)
        self.world.look()

    @precondition(lambda self: self.world.live() is not None and not self.world.live().gated)
    @rule(
        what=st.sampled_from(["run", "run", "cannot pull", "bad command", "exit", "oom", "oom", "lost"]), code=ENDINGS
    )
    def kubelet(self, what: str, code: int) -> None:
        world = self.world
        pod = world.live()
        assert pod is not None
        if pod.started_at is None:
            if what == "run" and not pod.deleting:
                world.put_pod(replace(pod, phase="Running", running=True, node="n1", started_at=b.at(world.now)))
            elif what == "cannot pull" and not pod.deleting:
                world.put_pod(replace(pod, node="n1", waiting_reason="ErrImagePull", waiting_message="no"))
            elif what == "bad command":
                world.end(pod, 128, container_reason="StartError")
            elif what == "lost":
                world.end(pod, None, disruption="DeletionByPodGC")
            elif pod.deleting:
                world.end(pod, None)
        elif what == "oom":
            world.end(pod, 137, container_reason="OOMKilled")
        elif what == "lost":
            world.end(pod, None, disruption="DeletionByPodGC")
        elif what == "exit":
            world.end(pod, code, container_reason="Error")

    @rule(what=st.sampled_from(["", "", "terminate", "cancel"]))
    def the_user_has_had_enough(self, what: str) -> None:
        if what and getattr(self.world.spec, what) is None:
            self.world.change_spec(**{what: {"reason": "stop" if what == "terminate" else "not needed"}})

    @precondition(lambda self: self.world.work is not None and self.world.work.is_finished)
    @rule()
    def finished_pods_are_collected(self) -> None:
        """Somebody's clean-up; the watch may or may not have shown how they ended."""
        for uid in list(self.world.pods):
            self.world.lost = True
            self.world.remove_pod(uid)

    # Before the Job's name is written a restarted operator cannot know that there was one, and makes it again.
    @precondition(lambda self: self.world.work is not None and self.world.held.job_name)
    @rule(really=st.sampled_from([False, False, False, True]))
    def somebody_deletes_the_job(self, really: bool) -> None:
        if really:
            self.world.meddled = True
            for uid in list(self.world.pods):
                self.world.lost = True
                self.world.remove_pod(uid)
            self.world.put_work(None)

    @invariant()
    def transitions_are_allowed(self) -> None:
        for before, after in self.world.history[self.checked :]:
            assert is_allowed(before, after, self.world), (before.state, after.state)
            for old, new in zip(before.attempts, after.attempts, strict=False):
                # What was noted before its end is completed, once.
                is_noted = old.stopped_at is None and old.container.pod_name == new.container.pod_name
                assert old == new or is_noted, "a recorded attempt changed"
            assert len(after.attempts) >= len(before.attempts)
            assert len(after.status_reason or "") <= 1024
        self.checked = len(self.world.history)

    @invariant()
    def attempts_are_those_that_ran_and_each_is_there_once(self) -> None:
        # One that is about to be ended is noted before; its pod may go with a Job that somebody deletes.
        live = {pod.name for pod in self.world.pods.values() if not pod.is_finished}
        for _, after in self.world.history[-1:]:
            recorded = [each.container.pod_name for each in after.attempts]
            assert len(set(recorded)) == len(recorded)
            assert self.world.meddled or set(recorded) - live <= set(self.world.ran)
            assert len(recorded) <= self.world.rules.attempts

    @invariant()
    def it_is_started_once(self) -> None:
        assert self.world.works_made <= 1

    def teardown(self) -> None:
        world = self.world
        world.run_down()
        self.transitions_are_allowed()
        self.attempts_are_those_that_ran_and_each_is_there_once()
        final = world.held
        assert final.stopped_at
        assert len(final.conditions) == 1
        # Without the pod nobody can tell that a complete Job's last attempt was ended for its time.
        if not world.meddled and not (world.lost and world.timed_out):
            assert world.finals == {final.state}
            if world.work is not None and world.work.is_finished:
                assert final.state == world.want_final
        if not world.lost:
            assert [each.container.pod_name for each in final.attempts] == world.ran
        if world.ended_by_us and final.state == "FAILED" and not world.meddled:
            assert final.is_terminated
        if final.is_cancelled and not world.meddled:
            assert world.works_made == 0
        if final.is_terminated:
            assert final.status_reason == "stop"


def is_allowed(before: BatchJobStatus, after: BatchJobStatus, world: World) -> bool:
    """The arrows of the diagram in domain/lifecycle.py."""
    old, new = before.state or "SUBMITTED", after.state
    if old in FINAL_STATES:
        return before == after
    if new in FINAL_STATES:
        return True
    assert new is not None
    if ORDER.index(new) >= ORDER.index(old):
        return True
    # Back only from a start, when the attempt has ended and another one is due.
    started = old in ("STARTING", "RUNNING")
    if new == "RUNNABLE":
        return started and 0 < len(after.attempts) < world.rules.attempts
    return old == "RUNNING" and new == "STARTING" and bool(after.attempts or world.lost)


TestLife = Life.TestCase
# A step costs little, and histories are many.
TestLife.settings = settings(max_examples=3 * settings.default.max_examples)  # type: ignore[union-attr]
