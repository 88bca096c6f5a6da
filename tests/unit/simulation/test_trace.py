"""The Standard Workload Format: what is read, what is refused and where, and that nothing is lost on the way."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.errors import TraceError
from batchwright.simulation.trace import Header, Record, Status, Trace, parse, text

JOB = "1 10 5 60 4 55.5 1024 8 120 2048 1 3 2 7 1 0 -1 -1"


def columns(**changed: str) -> str:
    """The line of a job with some columns (c1 to c18) replaced."""
    words = JOB.split()
    for name, word in changed.items():
        words[int(name[1:]) - 1] = word
    return " ".join(words)


def test_a_line_is_read_column_by_column() -> None:
    [record] = parse("t", JOB.encode()).records
    assert record == Record(1, 10, 5, 60, 4, 55.5, 1024, 8, 120, 2048, Status.COMPLETED, 3, 2, 7, 1, 0, None, None)
    assert record.processors == 8


def test_processors_are_those_allocated_where_nobody_wrote_down_the_request() -> None:
    [record] = parse("t", columns(c8="-1").encode()).records
    assert record.processors == 4


@pytest.mark.parametrize(
    ("key", "line", "want"),
    [
        pytest.param("MaxProcs", ";   MaxProcs:  128", 128, id="spaces"),
        pytest.param("MaxProcs", ";MaxProcs:128", 128, id="no spaces"),
        pytest.param("MaxNodes", "; MaxNodes: 128 (of 140)", 128, id="a remark after it"),
        pytest.param("MaxProcs", "; maxprocs: 8", 8, id="lower case"),
        pytest.param("MaxProcs", "; MaxProcs: -1", None, id="unknown"),
        pytest.param("MaxProcs", "; MaxNodes: 8", None, id="not there"),
        pytest.param("MaxProcs", "; see MaxProcs: 8", None, id="a sentence"),
    ],
)
def test_headers_are_numbers(key: str, line: str, want: int | None) -> None:
    assert parse("t", f"{line}\n\n{JOB}\n".encode()).number(key) == want


@pytest.mark.parametrize("value", ["many", "0", "12x", "-5", ""])
def test_a_header_that_is_no_number_is_refused_by_line(value: str) -> None:
    trace = parse("t", f"; Version: 2\n; MaxProcs: {value}\n{JOB}".encode())
    with pytest.raises(TraceError, match=r"t: line 2: header MaxProcs: .* is not a number above 0"):
        trace.number("MaxProcs")


@pytest.mark.parametrize(
    ("line", "want"),
    [
        pytest.param(
            "1 2 3", "t: line 3: column 4 (run time) is missing: a job has 18 columns, this line has 3", id="few"
        ),
        pytest.param(JOB + " 9", "t: line 3: column 19: '9' is more than the format has", id="too many"),
        pytest.param(columns(c4="x"), "t: line 3: column 4 (run time): 'x' is not a number", id="no number"),
        pytest.param(columns(c4="inf"), "column 4 (run time): 'inf' is not a number", id="infinite"),
        pytest.param(columns(c2="nan"), "column 2 (submit time): 'nan' is not a number", id="not a number"),
        pytest.param(columns(c8="1.5"), "column 8 (requested processors): '1.5' is not a whole number", id="half"),
        pytest.param(columns(c5="x"), "column 5 (allocated processors): 'x' is not a whole number", id="no count"),
        pytest.param(
            columns(c9="-2"), "column 9 (requested time): -2 is less than -1, which is unknown", id="negative"
        ),
        pytest.param(columns(c2="-1"), "column 2 (submit time): must be known", id="no submit time"),
        pytest.param(columns(c1="-1"), "column 1 (job number): must be known", id="no number of its own"),
        pytest.param(
            columns(c1="7"), "column 1 (job number): 7 is the number of an earlier line's job too", id="twice"
        ),
        pytest.param(
            columns(c17="9"), "column 17 (preceding job): 9 is not the number of an earlier line", id="no such"
        ),
        pytest.param(
            columns(c17="1"), "column 17 (preceding job): 1 is not the number of an earlier line", id="itself"
        ),
    ],
)
def test_a_bad_line_is_refused_by_line_and_column(line: str, want: str) -> None:
    with pytest.raises(TraceError) as error:
        parse("t", f"; Version: 2.2\n{columns(c1='7')}\n{line}\n".encode())
    assert want in str(error.value)


def test_a_trace_without_jobs_is_refused() -> None:
    with pytest.raises(TraceError, match="t: no jobs in it"):
        parse("t", b"; Version: 2.2\n\n")


def test_parts_of_a_job_share_its_number() -> None:
    trace = parse("t", "\n".join([JOB, columns(c11="2"), columns(c11="3")]).encode())
    assert [record.is_part for record in trace.records] == [False, True, True]


def test_gzip_is_unpacked_and_a_broken_one_refused() -> None:
    packed = gzip.compress(f"; MaxProcs: 4\n{JOB}\n".encode())
    assert parse("t.gz", packed).number("MaxProcs") == 4
    with pytest.raises(TraceError, match=r"t\.gz: a gzip file that cannot be unpacked"):
        parse("t.gz", packed[:-9])


def test_comments_may_be_in_any_encoding() -> None:
    assert len(parse("t", "; Note: Universität\n".encode("latin-1") + JOB.encode()).records) == 1


WHOLE = st.none() | st.integers(0, 10**9)
TIME = st.none() | st.integers(0, 10**9) | st.floats(0, 1e9, allow_nan=False)
RECORDS = st.builds(
    Record,
    number=st.integers(1, 10**6),
    submit=st.integers(0, 10**9) | st.floats(0, 1e9),
    wait=TIME,
    run=TIME,
    allocated=WHOLE,
    cpu_time=TIME,
    used_memory=TIME,
    requested=WHOLE,
    requested_time=TIME,
    requested_memory=TIME,
    status=st.none() | st.sampled_from(list(Status)),
    user=WHOLE,
    group=WHOLE,
    executable=WHOLE,
    queue=WHOLE,
    partition=WHOLE,
    think=TIME,
)


@given(st.lists(RECORDS, min_size=1, max_size=5, unique_by=lambda record: record.number))
def test_what_is_written_is_read_again(records: list[Record]) -> None:
    trace = Trace("t", (Header(1, "Version", "2.2"), Header(2, "MaxProcs", "8")), tuple(records))
    assert parse("t", text(trace).encode()) == trace
