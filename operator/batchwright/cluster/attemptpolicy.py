"""AWS_BATCH_JOB_ATTEMPT of retried jobs, by a MutatingAdmissionPolicy (GA in Kubernetes 1.36).

A policy made a moment ago does not act yet, so it is proved with a dry-run pod before the first job is started. Where
the cluster does not serve the kind, jobs with several attempts run without the variable.
"""

from __future__ import annotations

import structlog
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_fixed

from batchwright.cluster.client import ApiClient
from batchwright.cluster.resources import ADMISSION_BINDINGS, ADMISSION_POLICIES, PODS
from batchwright.errors import ApiError, ApiUnavailable
from batchwright.workloads.attemptpolicy import (
    build_attempt_binding,
    build_attempt_policy,
    probe_pod,
    shows_attempt,
)

logger = structlog.get_logger(__name__)
PROOF_SECONDS = 30.0


class _NotActingYet(ApiError):
    """The policy is there and does not act."""


async def install_attempt_policy(api: ApiClient) -> bool:
    """Applies the policy and waits until it acts; False when this cluster cannot have it."""
    try:
        await api.apply(ADMISSION_POLICIES, None, build_attempt_policy())
        await api.apply(ADMISSION_BINDINGS, None, build_attempt_binding())
    except ApiError as error:
        logger.warning("AWS_BATCH_JOB_ATTEMPT is not set in jobs with several attempts", error=str(error))
        return False
    try:
        await _prove(api)
    except ApiError as error:
        logger.warning("AWS_BATCH_JOB_ATTEMPT may be missing in jobs with several attempts", error=str(error))
        return False
    return True


async def _prove(api: ApiClient) -> None:
    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type((_NotActingYet, ApiUnavailable)),
        stop=stop_after_delay(PROOF_SECONDS),
        wait=wait_fixed(0.2),
        reraise=True,
    ):
        with attempt:
            if not shows_attempt(await api.create(PODS, "default", probe_pod(), dry_run=True)):
                raise _NotActingYet("the MutatingAdmissionPolicy does not act")
