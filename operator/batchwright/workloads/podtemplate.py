"""The pod template of a job: its definition's container or podTemplate, with the job's parameters and overrides.

A podTemplate is the user's own and may have any shape: what is wrong with it is a WorkloadError that names the field,
and what is not read here is passed on for the API server to judge. restartPolicy is always Never: an attempt is a pod.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from copy import deepcopy

from batchwright import names
from batchwright.api.v1alpha1 import BatchJobSpec, JobDefinitionSpec
from batchwright.api.v1alpha1.container import ContainerOverrides
from batchwright.errors import WorkloadError
from batchwright.workloads.arguments import as_written, render_arguments
from batchwright.workloads.container import container_template
from batchwright.workloads.resources import apply_requirements
from batchwright.workloads.shapes import (
    Wire,
    child_list,
    child_object,
    child_objects,
    child_text,
    child_texts,
    required_text,
)

ROOT = "podTemplate"
CONTAINER_FIELDS = ("initContainers", "containers")


def build_pod_template(definition: JobDefinitionSpec, job: BatchJobSpec, items: Collection[str] = ()) -> Wire:
    """The PodTemplateSpec before it is a certain job's: the caller may change it. Raises WorkloadError.

    `items` are the names of parameters that each element of an array has of its own.
    """
    parameters = {**definition.parameters, **job.parameters}
    overrides = job.container_overrides or ContainerOverrides()
    if definition.container_properties is not None:
        template = container_template(definition.container_properties, overrides, parameters, items)
    elif definition.pod_template is not None:
        template = _given_template(definition.pod_template, overrides, parameters, items)
    else:
        raise WorkloadError("the definition must give containerProperties or podTemplate")
    template["spec"]["restartPolicy"] = "Never"
    return template


def all_containers(template: Wire) -> list[tuple[Wire, str]]:
    """Init containers and containers, each with its path for messages."""
    spec = child_object(template, "spec", ROOT)
    return [
        (container, f"{ROOT}.spec.{field}[{index}]")
        for field in CONTAINER_FIELDS
        for index, container in enumerate(child_objects(spec, field, f"{ROOT}.spec"))
    ]


def main_container(template: Wire) -> Wire:
    """The container whose exit is the attempt's: the annotated one, or else the first. Raises WorkloadError."""
    spec = child_object(template, "spec", ROOT)
    containers = child_objects(spec, "containers", f"{ROOT}.spec")
    if not containers:
        raise WorkloadError(f"{ROOT}.spec.containers must list at least one container")
    for index, container in enumerate(containers):
        required_text(container, "name", f"{ROOT}.spec.containers[{index}]")
    metadata = child_object(template, "metadata", ROOT)
    annotations = child_object(metadata, "annotations", f"{ROOT}.metadata")
    wanted = child_text(annotations, names.DEFAULT_CONTAINER, f"{ROOT}.metadata.annotations")
    if not wanted:
        return containers[0]
    found = next((container for container in containers if container["name"] == wanted), None)
    if found is None:
        listed = ", ".join(container["name"] for container in containers)
        raise WorkloadError(
            f"{ROOT}.metadata.annotations[{names.DEFAULT_CONTAINER}] names {wanted!r}, "
            f"which is none of the containers: {listed}"
        )
    return found


def _given_template(
    given: Mapping[str, object], overrides: ContainerOverrides, parameters: Mapping[str, str], items: Collection[str]
) -> Wire:
    try:
        template: Wire = deepcopy(dict(given))
    except RecursionError as error:
        raise WorkloadError(f"{ROOT} is nested too deeply") from error
    child_object(template, "spec", ROOT)
    main = main_container(template)
    child_object(template["metadata"], "labels", f"{ROOT}.metadata")
    if overrides.command is not None:
        main["command"] = list(overrides.command)
        main.pop("args", None)
    for container, path in all_containers(template):
        for field in ("command", "args"):
            arguments = child_texts(container, field, path)
            if arguments is not None:
                container[field] = render_arguments(arguments, parameters, items, as_written)
        if container is main:
            _override_environment(container, overrides, path)
            apply_requirements(container, overrides.resource_requirements, path)
    return template


def _override_environment(container: Wire, overrides: ContainerOverrides, path: str) -> None:
    if not overrides.environment:
        return
    wanted = {variable.name: {"name": variable.name, "value": variable.value} for variable in overrides.environment}
    remove_variables(container, set(wanted), path)
    child_list(container, "env", path).extend(wanted.values())


def remove_variables(container: Wire, unwanted: set[str], path: str) -> None:
    """Take the variables of these names out of the container's env."""
    variables = child_objects(container, "env", path)
    kept = [
        variable
        for index, variable in enumerate(variables)
        if child_text(variable, "name", f"{path}.env[{index}]") not in unwanted
    ]
    if len(kept) != len(variables):
        container["env"] = kept
