"""What a pod's template cannot say, by MutatingAdmissionPolicies (GA in Kubernetes 1.36): each element's parameters and
index, and AWS_BATCH_JOB_ATTEMPT of retried jobs.

A policy made a moment ago does not act yet, so each is proved with a dry-run pod before the first job is started. Where
the cluster does not serve the kind, jobs with several attempts run without the variable, and arrays whose elements need
the policy must be refused (`ActingPolicies.elements`).

Who installs them is a setting: the operator (`apply`), or somebody else (`expect`), such as the Helm chart, which
spares the operator the right to write policies that concern every pod. What is expected and does not act ends the
operator: the next one asks again, while to go on would refuse arrays for good because an installation is not through.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_fixed

from batchwright.cluster.client import JSON, ApiClient
from batchwright.cluster.resources import ADMISSION_BINDINGS, ADMISSION_POLICIES, PODS
from batchwright.errors import ApiError, ApiUnavailable, Conflict, PoliciesMissing, Throttled
from batchwright.settings import PolicySource
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


async def install_admission_policies(
    api: ApiClient, source: PolicySource = "apply", seconds: float = PROOF_SECONDS
) -> ActingPolicies:
    """Applies the policies, or with `expect` leaves that to others, and waits until they act, up to `seconds`.

    Says which do, and logs why another does not. Raises PoliciesMissing if they are expected and do not act.
    """
    if source == "none":
        logger.warning("no admission policies: array jobs with items or indexes are refused")
        return ActingPolicies(attempt=False, elements=False)
    if source == "expect":
        await _expect(api, build_attempt_policy(), probe_pod(), shows_attempt, seconds)
        await _expect(api, build_element_policy(), probe_element(), shows_element, seconds)
        return ActingPolicies(attempt=True, elements=True)
    attempt = await _install(
        api,
        (build_attempt_policy(), build_attempt_binding()),
        probe_pod(),
        shows_attempt,
        seconds,
        "AWS_BATCH_JOB_ATTEMPT may be missing in jobs with several attempts",
    )
    elements = await _install(
        api,
        (build_element_policy(), build_element_binding()),
        probe_element(),
        shows_element,
        seconds,
        "array jobs with items or indexes are refused",
    )
    return ActingPolicies(attempt, elements)


async def _install(
    api: ApiClient,
    objects: tuple[JSON, JSON],
    probe: JSON,
    shows: Callable[[JSON], bool],
    seconds: float,
    otherwise: str,
) -> bool:
    policy, binding = objects
    try:
        await api.apply(ADMISSION_POLICIES, None, policy)
        await api.apply(ADMISSION_BINDINGS, None, binding)
        await _prove(api, probe, shows, seconds)
    except (ApiUnavailable, Conflict, Throttled):
        # May pass. To go on without would refuse arrays for good because of a moment; the next start asks again.
        raise
    except ApiError as error:
        logger.warning(otherwise, policy=policy["metadata"]["name"], error=str(error))
        return False
    return True


async def _expect(api: ApiClient, policy: JSON, probe: JSON, shows: Callable[[JSON], bool], seconds: float) -> None:
    try:
        await _prove(api, probe, shows, seconds)
    except ApiError as error:
        raise PoliciesMissing(
            f"the MutatingAdmissionPolicy {policy['metadata']['name']} and its binding are expected, and cannot be "
            f"seen to act: {error}; install them (the Helm chart does, with admissionPolicies.enabled), or set "
            "BATCHWRIGHT_ADMISSION_POLICIES to `apply` or `none`"
        ) from error


async def _prove(api: ApiClient, probe: JSON, shows: Callable[[JSON], bool], seconds: float) -> None:
    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type((_NotActingYet, ApiUnavailable)),
        stop=stop_after_delay(seconds),
        wait=wait_fixed(0.2),
        reraise=True,
    ):
        with attempt:
            if not shows(await api.create(PODS, "default", probe, dry_run=True)):
                raise _NotActingYet("the MutatingAdmissionPolicy does not act")
