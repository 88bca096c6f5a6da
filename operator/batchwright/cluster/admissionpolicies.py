"""What a pod's template cannot say, by MutatingAdmissionPolicies (GA in Kubernetes 1.36): each element's parameters and
index, and AWS_BATCH_JOB_ATTEMPT of retried jobs.

A policy made a moment ago does not act yet, so each is proved with a dry-run pod before the first job is started. Where
the cluster does not serve the kind, jobs with several attempts run without the variable, and arrays whose elements need
the policy must be refused (`ActingPolicies.elements`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_fixed

from batchwright.cluster.client import JSON, ApiClient
from batchwright.cluster.resources import ADMISSION_BINDINGS, ADMISSION_POLICIES, PODS
from batchwright.errors import ApiError, ApiUnavailable, Conflict, Throttled
from batchwright.workloads.attemptpolicy import (
    build_attempt_binding,
    build_attempt_policy,
    probe_pod,
    shows_attempt,
)
from batchwright.workloads.elementpolicy import (
    build_element_binding,
    build_element_policy,
    probe_element,
    shows_element,
)

logger = structlog.get_logger(__name__)
PROOF_SECONDS = 30.0


@dataclass(frozen=True)
class ActingPolicies:
    """Which policies act on this cluster."""

    attempt: bool
    elements: bool


class _NotActingYet(ApiError):
    """The policy is there and does not act."""


async def install_admission_policies(api: ApiClient) -> ActingPolicies:
    """Applies the policies and waits until they act; says which do, and logs why another does not."""
    attempt = await _install(
        api,
        (build_attempt_policy(), build_attempt_binding()),
        probe_pod(),
        shows_attempt,
        "AWS_BATCH_JOB_ATTEMPT may be missing in jobs with several attempts",
    )
    elements = await _install(
        api,
        (build_element_policy(), build_element_binding()),
        probe_element(),
        shows_element,
        "array jobs with items or indexes are refused",
    )
    return ActingPolicies(attempt, elements)


async def _install(
    api: ApiClient, objects: tuple[JSON, JSON], probe: JSON, shows: Callable[[JSON], bool], otherwise: str
) -> bool:
    policy, binding = objects
    try:
        await api.apply(ADMISSION_POLICIES, None, policy)
        await api.apply(ADMISSION_BINDINGS, None, binding)
        await _prove(api, probe, shows)
    except (ApiUnavailable, Conflict, Throttled):
        # May pass. To go on without would refuse arrays for good because of a moment; the next start asks again.
        raise
    except ApiError as error:
        logger.warning(otherwise, policy=policy["metadata"]["name"], error=str(error))
        return False
    return True


async def _prove(api: ApiClient, probe: JSON, shows: Callable[[JSON], bool]) -> None:
    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type((_NotActingYet, ApiUnavailable)),
        stop=stop_after_delay(PROOF_SECONDS),
        wait=wait_fixed(0.2),
        reraise=True,
    ):
        with attempt:
            if not shows(await api.create(PODS, "default", probe, dry_run=True)):
                raise _NotActingYet("the MutatingAdmissionPolicy does not act")
