"""Quantities against Kubernetes' own rules."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchwright.domain.quantities import (
    add,
    fits,
    format_bytes,
    format_cpu,
    parse_bytes,
    parse_cpu_milli,
    parse_quantity,
    resources_from_wire,
    subtract,
)
from batchwright.errors import QuantityError, WorkloadError

LARGEST = 2**63 - 1


@pytest.mark.parametrize(
    ("text", "want"),
    [
        pytest.param("1", Fraction(1), id="whole"),
        pytest.param("0.5", Fraction(1, 2), id="decimal"),
        pytest.param(".5", Fraction(1, 2), id="no leading digit"),
        pytest.param("5.", Fraction(5), id="no trailing digit"),
        pytest.param("+1", Fraction(1), id="plus"),
        pytest.param("-1", Fraction(-1), id="minus"),
        pytest.param("100n", Fraction(1, 10**7), id="nano"),
        pytest.param("100u", Fraction(1, 10**4), id="micro"),
        pytest.param("100m", Fraction(1, 10), id="milli"),
        pytest.param("2k", Fraction(2000), id="kilo"),
        pytest.param("2M", Fraction(2 * 10**6), id="mega"),
        pytest.param("2G", Fraction(2 * 10**9), id="giga"),
        pytest.param("2T", Fraction(2 * 10**12), id="tera"),
        pytest.param("2P", Fraction(2 * 10**15), id="peta"),
        pytest.param("2E", Fraction(2 * 10**18), id="exa, not an exponent"),
        pytest.param("2Ki", Fraction(2048), id="kibi"),
        pytest.param("1.5Mi", Fraction(3 * 2**19), id="mebi"),
        pytest.param("1Gi", Fraction(2**30), id="gibi"),
        pytest.param("1Ti", Fraction(2**40), id="tebi"),
        pytest.param("1Pi", Fraction(2**50), id="pebi"),
        pytest.param("1Ei", Fraction(2**60), id="exbi"),
        pytest.param("1e3", Fraction(1000), id="exponent"),
        pytest.param("1E3", Fraction(1000), id="upper case exponent"),
        pytest.param("1e-3", Fraction(1, 1000), id="negative exponent"),
        pytest.param("8Ei", Fraction(LARGEST), id="capped"),
        pytest.param("-9e18000", Fraction(-LARGEST), id="capped below"),
        pytest.param("1e99999999999999999999", Fraction(LARGEST), id="absurd exponent"),
        pytest.param(3, Fraction(3), id="int"),
        pytest.param(0.1, Fraction(1, 10), id="float as it is written"),
        pytest.param(1e30, Fraction(LARGEST), id="large float"),
    ],
)
def test_parse_quantity(text: str | int | float, want: Fraction) -> None:
    assert parse_quantity(text) == want


NO_QUANTITIES = " 1|1 |1K|1ki|1mi|1e|1ee3|1Kim|--1|.|1_000|0x10|NaN|inf|١|"


@pytest.mark.parametrize("text", [*NO_QUANTITIES.split("|"), "1" * 300, True, None, [], {}, float("nan"), float("inf")])
def test_parse_quantity_refuses(text: object) -> None:
    with pytest.raises(QuantityError, match="is not a quantity"):
        parse_quantity(text)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "want"), [("250m", 250), ("0.25", 250), ("1", 1000), ("1m", 1), ("100u", 1), ("1e-9", 1), ("0", 0)]
)
def test_parse_cpu_milli_rounds_up(text: str, want: int) -> None:
    assert parse_cpu_milli(text) == want


@pytest.mark.parametrize(("text", "want"), [("128Mi", 2**27), ("1500m", 2), ("0.1", 1), ("1e3", 1000), (512, 512)])
def test_parse_bytes_rounds_up(text: str | int, want: int) -> None:
    assert parse_bytes(text) == want


@given(st.integers(0, 10**12))
def test_format_cpu_is_read_back(milli: int) -> None:
    assert parse_cpu_milli(format_cpu(milli)) == min(milli, LARGEST)


@pytest.mark.parametrize(("milli", "want"), [(250, "0.25"), (1000, "1"), (10000, "10"), (1, "0.001"), (-500, "-0.5")])
def test_format_cpu(milli: int, want: str) -> None:
    assert format_cpu(milli) == want


@pytest.mark.parametrize(
    ("count", "want"),
    [
        (2048 << 20, "2048 MiB"),
        ((1 << 20) + (1 << 19), "1.5 MiB"),
        ((2 << 20) - 1, "1.9 MiB"),
        (1000, "1000 bytes"),
        (0, "0 MiB"),
        (-(1 << 20), "-1 MiB"),
    ],
)
def test_format_bytes(count: int, want: str) -> None:
    assert format_bytes(count) == want


def test_resources_from_wire_uses_each_resources_unit() -> None:
    wire = {"cpu": "3920m", "memory": "16Gi", "pods": "110", "nvidia.com/gpu": 4, "ephemeral-storage": "1Ki"}
    want = {"cpu": 3920, "memory": 16 << 30, "pods": 110, "nvidia.com/gpu": 4, "ephemeral-storage": 1024}
    assert resources_from_wire(wire) == want


def test_resources_from_wire_names_the_resource() -> None:
    with pytest.raises(WorkloadError, match=r"^memory: '2GB' is not a quantity"):
        resources_from_wire({"cpu": "1", "memory": "2GB"})


AMOUNTS = st.dictionaries(st.sampled_from(["cpu", "memory", "pods", "x.io/y"]), st.integers(0, 1000))


@given(AMOUNTS, AMOUNTS)
def test_what_is_added_can_be_taken_away(first: dict[str, int], second: dict[str, int]) -> None:
    left = subtract(add(first, second), second)
    assert {name: amount for name, amount in left.items() if amount} == {k: v for k, v in first.items() if v}


@given(AMOUNTS, AMOUNTS)
def test_fits_when_nothing_is_left_below_zero(request_: dict[str, int], free: dict[str, int]) -> None:
    left = subtract(free, request_)
    assert fits(request_, free) == all(left[name] >= 0 for name in request_)


def test_nothing_asked_fits_even_an_overcommitted_node() -> None:
    assert fits({"cpu": 0}, {"cpu": -5})
    assert not fits({"nvidia.com/gpu": 1}, {"cpu": 1})
