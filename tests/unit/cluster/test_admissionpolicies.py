"""Policies that somebody else installs: the operator writes none, and does not go on without them."""

from __future__ import annotations

from typing import Any

import pytest

from batchwright.cluster.admissionpolicies import ActingPolicies, install_admission_policies
from batchwright.cluster.resources import PODS, Resource
from batchwright.errors import ApiError, Forbidden, PoliciesMissing


class FakeApi:
    """Answers dry runs as an API server without the policies; `apply` is not there, as it must not be called."""

    def __init__(self, error: ApiError | None = None) -> None:
        self.error = error
        self.asked: list[bool] = []

    async def create(
        self, resource: Resource, namespace: str, body: dict[str, Any], *, dry_run: bool
    ) -> dict[str, Any]:
        assert resource == PODS
        self.asked.append(dry_run)
        if self.error is not None:
            raise self.error
        return body


@pytest.mark.parametrize(
    ("error", "says"),
    [
        pytest.param(None, "job-attempt.batchwright.io", id="they do not act"),
        pytest.param(Forbidden("pods is forbidden"), "pods is forbidden", id="they cannot be proved"),
    ],
)
async def test_what_is_expected_and_does_not_act_ends_the_operator(error: ApiError | None, says: str) -> None:
    api = FakeApi(error)
    with pytest.raises(PoliciesMissing, match=says) as raised:
        await install_admission_policies(api, "expect", seconds=0.1)  # type: ignore[arg-type]
    assert "BATCHWRIGHT_ADMISSION_POLICIES" in str(raised.value)
    assert api.asked
    assert all(api.asked)


async def test_without_any_nothing_is_asked() -> None:
    api = FakeApi()
    acting = await install_admission_policies(api, "none")  # type: ignore[arg-type]
    assert acting == ActingPolicies(attempt=False, elements=False)
    assert api.asked == []
