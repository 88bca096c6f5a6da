"""From records to jobs: machines, shares, and what is left out and said."""

from __future__ import annotations

import pytest

from batchwright.errors import SimulationError
from batchwright.simulation.trace import Header, Record, Status, Trace
from batchwright.simulation.workload import Job, Machines, ShareBy, build_machines, build_workload

MACHINES = Machines(2, 4)


def trace(*records: Record, **headers: str) -> Trace:
    """A trace with these headers."""
    said = tuple(Header(line, key, value) for line, (key, value) in enumerate(headers.items(), start=1))
    return Trace("t.swf", said, records)


@pytest.mark.parametrize(
    ("headers", "nodes", "cpus", "want"),
    [
        pytest.param({"MaxProcs": "128", "MaxNodes": "16"}, None, None, Machines(16, 8), id="both headers"),
        pytest.param({"MaxProcs": "130", "MaxNodes": "16"}, None, None, Machines(1, 130), id="uneven: one pool"),
        pytest.param({"MaxProcs": "128"}, None, None, Machines(1, 128), id="processors alone"),
        pytest.param({"MaxNodes": "16"}, None, None, Machines(16, 1), id="nodes alone"),
        pytest.param({"MaxNodes": "16"}, None, 4, Machines(16, 4), id="nodes, and processors of each"),
        pytest.param({"MaxProcs": "128"}, 32, None, Machines(32, 4), id="divided over nodes"),
        pytest.param({"MaxProcs": "128"}, None, 2, Machines(64, 2), id="nodes of a size"),
        pytest.param({"MaxProcs": "x"}, 3, 5, Machines(3, 5), id="flags need no header"),
    ],
)
def test_machines(headers: dict[str, str], nodes: int | None, cpus: int | None, want: Machines) -> None:
    assert build_machines(trace(**headers), nodes, cpus) == want


@pytest.mark.parametrize(
    ("headers", "nodes", "cpus", "want"),
    [
        pytest.param({}, None, None, "give --nodes and --cpus-per-node", id="nothing said"),
        pytest.param({}, 3, None, "give --nodes and --cpus-per-node", id="one flag is not enough"),
        pytest.param(
            {"MaxProcs": "10"}, 3, None, r"--nodes 3 does not divide the 10 .* give --cpus-per-node", id="nodes"
        ),
        pytest.param({"MaxProcs": "10"}, None, 4, r"--cpus-per-node 4 does not .* give --nodes", id="processors"),
    ],
)
def test_machines_that_do_not_fit_are_refused(
    headers: dict[str, str], nodes: int | None, cpus: int | None, want: str
) -> None:
    with pytest.raises(SimulationError, match=want):
        build_machines(trace(**headers), nodes, cpus)


@pytest.mark.parametrize(
    ("cpus", "want"), [(1, (1,)), (4, (4,)), (5, (4, 1)), (8, (4, 4))], ids=["a bit", "one", "one and a bit", "all"]
)
def test_pieces_of_a_wide_job_fit_a_machine_each(cpus: int, want: tuple[int, ...]) -> None:
    assert MACHINES.pieces(cpus) == want


def test_a_record_becomes_a_job() -> None:
    record = Record(1, 10, run=60, requested=4, requested_time=120, user=3, group=2, queue=1, executable=9)
    [job] = build_workload(trace(record), MACHINES).jobs
    assert job == Job(id=1, submit=10, runtime=60, cpus=4, share="user3", queue="queue1", limit=120)


@pytest.mark.parametrize(
    ("by", "want"),
    [
        (ShareBy.user, "user3"),
        (ShareBy.group, "group2"),
        (ShareBy.executable, "executable9"),
        (ShareBy.queue, "unknown"),
    ],
)
def test_shares(by: ShareBy, want: str) -> None:
    [job] = build_workload(trace(Record(1, 0, run=1, requested=1, user=3, group=2, executable=9)), MACHINES, by).jobs
    assert job.share == want


def test_what_is_left_out_is_counted_by_reason() -> None:
    made = build_workload(
        trace(
            Record(1, 0, run=1, requested=8),
            Record(1, 0, run=1, requested=8, status=Status.PART_TO_BE_CONTINUED),
            Record(2, 0, requested=8, status=Status.CANCELLED),
            Record(3, 0, run=1, allocated=0),
            Record(4, 0, run=1, requested=9),
            Record(5, 0, run=1, requested=9),
        ),
        MACHINES,
    )
    assert [job.id for job in made.jobs] == [1]
    assert made.left_out == {
        "more processors than there are": 2,
        "part of a job that has a line of its own": 1,
        "processors not known": 1,
        "run time not known (it never ran)": 1,
    }


def test_a_trace_of_which_nothing_is_left_is_refused() -> None:
    with pytest.raises(
        SimulationError, match=r"t\.swf: no job can be replayed on 8 processors: 1 more processors than"
    ):
        build_workload(trace(Record(1, 0, run=1, requested=9)), MACHINES)


def test_a_job_waits_for_its_predecessor_if_that_is_replayed() -> None:
    made = build_workload(
        trace(
            Record(1, 0, run=1, requested=1),
            Record(2, 0, requested=1),
            Record(3, 0, run=1, requested=1, preceding=1, think=30),
            Record(4, 0, run=1, requested=1, preceding=2, think=30),
        ),
        MACHINES,
    )
    assert [(job.id, job.after, job.think) for job in made.jobs] == [(1, None, 0), (3, 1, 30), (4, None, 0)]
