"""Views of a BatchJob whose Kubernetes Job has finished or is gone, and what is to be decided."""

from __future__ import annotations

import pytest

import builders as b
from batchwright import names
from batchwright.domain.actions import ReadPods
from unit.domain.lifecycle_cases import EXITED, RUNNING, Case, running, with_spec

ENDED = [
    pytest.param(
        Case(
            running(work=b.work(succeeded=1, complete=True), pods=(b.ended_pod(exit_code=0),)),
            "SUCCEEDED",
            EXITED,
            want_exits=(0,),
        ),
        id="success",
    ),
    pytest.param(
        Case(
            running(work=b.work(failed=1, failure="FailedIndexes"), pods=(b.ended_pod(exit_code=42),)),
            "FAILED",
            EXITED,
            want_notices=("Failed",),
            want_exits=(42,),
        ),
        id="failure",
    ),
    pytest.param(
        Case(
            running(
                work=b.work(failed=2, failure="FailedIndexes"),
                rules=b.rules(2),
                pods=(b.ended_pod(0, exit_code=1), b.ended_pod(1, exit_code=2)),
            ),
            "FAILED",
            EXITED,
            want_notices=("Failed",),
            want_exits=(1, 2),
        ),
        id="all attempts failed",
    ),
    pytest.param(
        Case(
            running(
                work=b.work(failed=1, succeeded=1, complete=True),
                rules=b.rules(2),
                pods=(b.ended_pod(1, exit_code=0), b.ended_pod(0, exit_code=1)),
            ),
            "SUCCEEDED",
            EXITED,
            want_exits=(1, 0),
        ),
        id="success at the second attempt, in order whatever the watch showed first",
    ),
    pytest.param(
        Case(
            running(work=b.work(failed=1, failure="x"), pods=(b.ended_pod(exit_code=143, disruption="Evicted"),)),
            "FAILED",
            "Host EC2 (instance i-0abc) terminated.",
            want_notices=("Failed",),
            want_exits=(None,),
        ),
        id="lost node",
    ),
    pytest.param(
        Case(
            running(
                work=b.work(failed=1, failure="x"),
                pods=(b.ended_pod(exit_code=None, mark=b.mark(names.POD_CONDITION_START_FAILED, "CannotPull")),),
            ),
            "FAILED",
            "Task failed to start",
            want_notices=("Failed",),
            want_exits=(None,),
        ),
        id="never started",
    ),
    pytest.param(
        Case(
            running(
                work=b.work(failed=1, failure="x"),
                pods=(b.ended_pod(exit_code=137, mark=b.mark(names.POD_CONDITION_TIMEOUT)),),
            ),
            "FAILED",
            "Job attempt duration exceeded timeout",
            want_notices=("Failed",),
            want_exits=(137,),
        ),
        id="timed out",
    ),
    pytest.param(
        Case(
            running(
                work=b.work(succeeded=1, complete=True),
                pods=(b.ended_pod(exit_code=0, mark=b.mark(names.POD_CONDITION_TIMEOUT)),),
            ),
            "FAILED",
            "Job attempt duration exceeded timeout",
            want_notices=("Failed",),
            want_exits=(0,),
        ),
        id="timed out, and the process answered SIGTERM with exit code 0: the Kubernetes Job is complete",
    ),
    pytest.param(
        Case(
            running(
                work=b.work(failed=1, succeeded=1, complete=True),
                rules=b.rules(2, timeout=60),
                pods=(b.ended_pod(0, exit_code=1), b.ended_pod(1, mark=b.mark(names.POD_CONDITION_TIMEOUT))),
            ),
            "FAILED",
            "Job attempt duration exceeded timeout",
            want_notices=("Failed",),
            want_exits=(1, 0),
        ),
        id="the last of two attempts timed out with exit code 0",
    ),
    pytest.param(
        Case(running(work=b.work(failed=1, failure="x")), "RUNNING", want_actions=(ReadPods,)),
        id="finished, pods not seen: they are read first",
    ),
    pytest.param(
        Case(
            running(work=b.work(failed=1, failure="Job has failed indexes"), pods_complete=True),
            "FAILED",
            "Job has failed indexes",
            want_notices=("Failed",),
        ),
        id="finished, pods are gone: the Job's own words",
    ),
    pytest.param(
        Case(
            running(work=b.work(failed=1, failure=""), pods_complete=True),
            "FAILED",
            "The Kubernetes Job failed",
            want_notices=("Failed",),
        ),
        id="finished without a word",
    ),
    pytest.param(
        Case(
            running(
                work=b.work(failed=2, failure="x"),
                rules=b.rules(3),
                pods=(
                    b.ended_pod(0, exit_code=3),
                    b.pod(1, phase="Failed", gated=True, mark=b.mark(names.POD_CONDITION_NO_RETRY)),
                ),
                pods_complete=True,
            ),
            "FAILED",
            EXITED,
            want_notices=("Failed",),
            want_exits=(3,),
        ),
        id="a refused retry is no attempt",
    ),
    pytest.param(
        Case(
            running(work=None, job=with_spec(terminate={"reason": "stop"}), pods=(b.ended_pod(exit_code=143),)),
            "FAILED",
            "stop",
            want_notices=("Terminated",),
            want_exits=(143,),
            want_terminated=True,
        ),
        id="terminated: the Job is gone",
    ),
    pytest.param(
        Case(
            running(
                work=b.work(deleting=True, failed=1, failure="Job has failed indexes"),
                job=with_spec(terminate={"reason": "stop"}),
                pods=(b.ended_pod(exit_code=143),),
            ),
            "FAILED",
            "stop",
            want_notices=("Terminated",),
            want_exits=(143,),
            want_terminated=True,
        ),
        id="terminated: the Job controller counts the stopped pod before the Job goes",
    ),
    pytest.param(
        Case(
            running(
                work=b.work(deleting=True, succeeded=1, complete=True),
                job=with_spec(terminate={"reason": "stop"}),
                pods=(b.ended_pod(exit_code=0),),
            ),
            "FAILED",
            "stop",
            want_notices=("Terminated",),
            want_exits=(0,),
            want_terminated=True,
        ),
        id="terminated: the stopped pod ended with exit code 0 before the Job goes",
    ),
    pytest.param(
        Case(
            running(
                work=b.work(succeeded=1, complete=True),
                job=with_spec(terminate={"reason": "stop"}),
                pods=(b.ended_pod(exit_code=0),),
            ),
            "SUCCEEDED",
            EXITED,
            want_exits=(0,),
        ),
        id="terminate that comes after the success changes nothing",
    ),
    pytest.param(
        Case(
            running(work=b.work(deleting=True, succeeded=1, complete=True), pods=(b.ended_pod(exit_code=0),)),
            "SUCCEEDED",
            EXITED,
            want_exits=(0,),
        ),
        id="a complete Job that somebody deletes was a success",
    ),
    pytest.param(
        Case(
            running(
                work=b.work(failed=1, failure="x"),
                job=with_spec(terminate={"reason": "stop"}),
                pods=(b.ended_pod(exit_code=7),),
            ),
            "FAILED",
            EXITED,
            want_notices=("Failed",),
            want_exits=(7,),
        ),
        id="terminate that comes after the failure changes nothing",
    ),
    pytest.param(
        Case(
            running(work=None),
            "FAILED",
            "The Kubernetes Job hello-1-11111111 was deleted by somebody else before it finished",
            want_notices=("JobDeleted",),
        ),
        id="Job deleted by somebody",
    ),
    pytest.param(
        Case(
            b.view(job=b.job(status=b.status("RUNNABLE")), started=True),
            "FAILED",
            "The Kubernetes Job was deleted by somebody else before it finished",
            want_notices=("JobDeleted",),
        ),
        id="Job deleted before its name was recorded",
    ),
    pytest.param(
        Case(
            b.view(job=b.job(status=RUNNING)),
            "FAILED",
            "The Kubernetes Job hello-1-11111111 was deleted by somebody else before it finished",
            want_notices=("JobDeleted",),
        ),
        id="Job deleted while the operator was down: not run again",
    ),
]
