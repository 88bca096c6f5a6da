"""Settings of the operator, from environment variables BATCHWRIGHT_*."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

PolicySource = Literal["apply", "expect", "none"]


class Settings(BaseSettings):
    """How the operator works; the defaults suit every cluster we know of."""

    model_config = SettingsConfigDict(env_prefix="BATCHWRIGHT_", frozen=True)

    pass_interval_seconds: float = Field(default=0.05, gt=0, description="Shortest time between two passes.")
    writes_in_flight: int = Field(default=24, ge=1, description="Jobs being created at one time.")
    status_writers: int = Field(default=12, ge=1, description="Statuses being written at one time.")
    start_grace_seconds: float = Field(
        default=60.0, ge=0, description="How long a pod may fail to pull its image or to start before the attempt ends."
    )
    explain_interval_seconds: float = Field(
        default=10.0, gt=0, description="Shortest time between two new texts of why one job waits."
    )
    checkpoint_seconds: float = Field(
        default=60.0, gt=0, description="How often the usage of shares is noted in the status of queues."
    )
    leader_election: bool = Field(
        default=True, description="Work only while holding a Lease, so that several operators may run."
    )
    lease_namespace: str = Field(default="kube-system", min_length=1, description="Namespace of the Lease.")
    lease_name: str = Field(default="batchwright-operator", min_length=1, description="Name of the Lease.")
    lease_seconds: int = Field(
        default=10, ge=3, le=300, description="How long after its holder was last heard of another may take the Lease."
    )
    admission_policies: PolicySource = Field(
        default="apply",
        description="Who installs the MutatingAdmissionPolicies: the operator (apply), somebody else (expect), nobody "
        "(none).",
    )
    pod_groups: bool = Field(
        default=True,
        description="Have the nodes of a multi-node job but the main one bound together by a PodGroup, where the "
        "cluster has that API (Kubernetes 1.37).",
    )
    capacity_interval_seconds: float = Field(
        default=5.0, gt=0, description="How often the instances of MANAGED environments are looked at."
    )
    capacity_gather_seconds: float = Field(
        default=0.3, ge=0, description="How long to wait for more that waits before instances are launched for it."
    )
    capacity_idle_seconds: float = Field(
        default=60.0, ge=0, description="How long an instance stays idle where minScaleDownDelayMinutes does not say."
    )
    capacity_start_seconds: float = Field(
        default=900.0, gt=0, description="How long an instance may take to become a ready node before it is ended."
    )
    capacity_pause_seconds: float = Field(
        default=60.0,
        ge=0,
        description="How long nothing is launched after instances did not become ready nodes; it doubles each time, to "
        "an hour.",
    )
    capacity_sold_out_seconds: float = Field(
        default=180.0, ge=0, description="How long a type is not asked for in a zone that had none of it."
    )
    capacity_patience_seconds: float = Field(
        default=60.0,
        ge=0,
        description="How long an environment whose provider throttles or does not answer keeps what waits for it, "
        "before the queue's next one gets it.",
    )
    interruption_queue: str = Field(
        default="", description="Name or URL of the SQS queue with EC2's warnings; none without one."
    )
    stale_watch_seconds: float = Field(
        default=400.0, gt=0, description="A watch silent for longer makes the liveness probe fail."
    )
    stale_pass_seconds: float = Field(
        default=180.0,
        gt=60,
        description="An operator that works, and has looked at nothing for longer, fails the liveness probe too.",
    )
