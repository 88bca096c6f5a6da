"""JobDefinition: what a job runs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from batchwright.api.v1alpha1.common import (
    Conditions,
    Model,
    OpenObject,
    Parameters,
    RetryStrategy,
    Tags,
    Text,
    Timeout,
)
from batchwright.api.v1alpha1.consumableresource import ConsumableResourceProperties
from batchwright.api.v1alpha1.container import ContainerProperties
from batchwright.api.v1alpha1.multinode import NodeProperties
from batchwright.api.v1alpha1.validation import PRESERVE, Rule, exactly_one, rules


class JobDefinitionSpec(Model):
    """Desired state of a JobDefinition; each change makes a new revision."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            exactly_one(("containerProperties", "podTemplate", "nodeProperties")),
            Rule(
                "has(self.nodeProperties) == (has(self.type) && self.type == 'multinode')",
                "nodeProperties go with type multinode, and type multinode with nodeProperties",
                field_path=".type",
            ),
        )
    )

    type: Literal["container", "multinode"] = Field(
        default="container", description="type of the job: container (the default), or multinode with nodeProperties."
    )
    container_properties: ContainerProperties | None = Field(
        default=None, description="containerProperties: the container in AWS Batch's words."
    )
    pod_template: Annotated[OpenObject, Field(json_schema_extra=PRESERVE)] | None = Field(
        default=None,
        description="podTemplate: a whole PodTemplateSpec (metadata, spec) with everything Kubernetes has. The main "
        "container is the first, or the one named by the annotation kubectl.kubernetes.io/default-container.",
    )
    node_properties: NodeProperties | None = Field(
        default=None, description="nodeProperties: the nodes of a multi-node parallel job."
    )
    parameters: Parameters = Field(
        default_factory=dict, description="parameters: defaults for Ref::name in the command; a job may override them."
    )
    retry_strategy: RetryStrategy | None = Field(default=None, description="retryStrategy of jobs that set none.")
    timeout: Timeout | None = Field(default=None, description="timeout of jobs that set none.")
    scheduling_priority: int | None = Field(
        default=None,
        ge=0,
        le=9999,
        description="schedulingPriority of its jobs among those of the same share: the higher first. Absent: 0.",
    )
    consumable_resource_properties: ConsumableResourceProperties | None = Field(
        default=None, description="consumableResourceProperties: the consumable resources its jobs hold."
    )
    tags: Tags = Field(default_factory=dict, description="tags, kept with the definition.")
    propagate_tags: bool = Field(
        default=False, description="propagateTags copies tags of job and definition to the pods as annotations."
    )


class JobDefinitionStatus(Model):
    """Observed state of a JobDefinition."""

    observed_generation: int | None = Field(
        default=None, ge=0, description="observedGeneration is the generation of the spec this status speaks of."
    )
    revision: int | None = Field(default=None, ge=1, description="revision that the present spec is.")
    status: Literal["ACTIVE", "INACTIVE", "INVALID"] | None = Field(
        default=None, description="status as AWS has it: ACTIVE definitions take jobs; INVALID ones say why."
    )
    status_reason: Text | None = Field(default=None, description="statusReason says why the status is what it is.")
    conditions: Conditions = Field(
        default=(), description="conditions: Ready; Stalled, True, where somebody has to mend it."
    )


class JobDefinition(Model):
    """A JobDefinition says what a job runs: its container, resources, retries and time limit."""

    spec: JobDefinitionSpec = Field(description="spec: what jobs of this definition run.")
    status: JobDefinitionStatus | None = Field(
        default=None, description="status: its revision, and whether it is valid."
    )
