"""containerProperties, AWS Batch's shorthand, as a pod template with one container.

What AWS means is kept where Kubernetes means something else: `$(NAME)` in commands and values is no reference on AWS,
so it is escaped here; `user` goes to the container; the pod has no API token unless it asks for an account.
`executionRoleArn`, `logConfiguration`, swap, tmpfs and device options have no counterpart in a pod and change nothing.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Final

from batchwright import names
from batchwright.api.v1alpha1.container import ContainerOverrides, ContainerProperties, Ulimit
from batchwright.workloads.arguments import literal, render_arguments
from batchwright.workloads.resources import apply_requirements
from batchwright.workloads.serviceaccount import service_account_name
from batchwright.workloads.shapes import Wire
from batchwright.workloads.volumes import pod_volumes

MAIN: Final = "main"
# RLIM_INFINITY: the adjuster takes unsigned 64-bit numbers.
UNLIMITED: Final = 2**64 - 1


def container_template(
    properties: ContainerProperties,
    overrides: ContainerOverrides,
    parameters: Mapping[str, str],
    items: Collection[str] = (),
) -> Wire:
    """The pod template of one container named "main"; `items` are parameters of each element. Raises WorkloadError."""
    container: Wire = {"name": MAIN, "image": properties.image}
    command = properties.command if overrides.command is None else overrides.command
    if command is not None:
        container["args"] = render_arguments(command, parameters, items, literal)
    environment = _environment(properties, overrides)
    if environment:
        container["env"] = environment
    apply_requirements(container, properties.resource_requirements, "containerProperties")
    apply_requirements(container, overrides.resource_requirements, "containerOverrides")
    security = _security_context(properties)
    if security:
        container["securityContext"] = security
    spec: Wire = {"containers": [container]}
    volumes, mounts = pod_volumes(properties)
    if volumes:
        spec["volumes"] = volumes
    if mounts:
        container["volumeMounts"] = mounts
    if properties.linux_parameters is not None and properties.linux_parameters.init_process_enabled:
        spec["shareProcessNamespace"] = True
    spec |= _account(properties)
    return {"metadata": {"annotations": _annotations(properties)}, "spec": spec}


def _environment(properties: ContainerProperties, overrides: ContainerOverrides) -> list[Wire]:
    """The variables, each name once: a secret in place of a plain value, an override in place of both."""
    by_name: dict[str, Wire] = {}
    for variable in properties.environment:
        by_name[variable.name] = {"name": variable.name, "value": literal(variable.value)}
    for secret in properties.secrets:
        name, _, key = secret.value_from.partition("/")
        reference = {"secretKeyRef": {"name": name, "key": key}}
        by_name[secret.name] = {"name": secret.name, "valueFrom": reference}
    for variable in overrides.environment:
        by_name[variable.name] = {"name": variable.name, "value": literal(variable.value)}
    return list(by_name.values())


def _security_context(properties: ContainerProperties) -> Wire:
    context: Wire = {}
    if properties.user is not None:
        user, _, group = properties.user.partition(":")
        context["runAsUser"] = int(user)
        if group:
            context["runAsGroup"] = int(group)
    if properties.privileged:
        context["privileged"] = True
    if properties.readonly_root_filesystem:
        context["readOnlyRootFilesystem"] = True
    return context


def _account(properties: ContainerProperties) -> Wire:
    if properties.job_role_arn is not None:
        return {"serviceAccountName": service_account_name(properties.job_role_arn)}
    if properties.service_account_name is not None:
        return {"serviceAccountName": properties.service_account_name}
    return {"automountServiceAccountToken": False}


def _annotations(properties: ContainerProperties) -> dict[str, str]:
    if not properties.ulimits:
        return {}
    # The annotation is YAML, of which JSON is a part.
    limits = [_rlimit(limit) for limit in properties.ulimits]
    return {f"{names.ULIMITS}{MAIN}": json.dumps(limits)}


def _rlimit(limit: Ulimit) -> dict[str, str | int]:
    soft, hard = (UNLIMITED if value == -1 else value for value in (limit.soft_limit, limit.hard_limit))
    return {"type": f"RLIMIT_{limit.name.upper().removeprefix('RLIMIT_')}", "soft": soft, "hard": hard}
