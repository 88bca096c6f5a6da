"""The options that verbs share, each spelt once. They come after the verb, as kubectl users write them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from batchwright.cli import completion, references

CLUSTER_PANEL = "Cluster"


class Output(StrEnum):
    """How objects are printed."""

    table = "table"
    wide = "wide"
    json = "json"
    yaml = "yaml"
    name = "name"


class State(StrEnum):
    """The states of a job, as AWS has them."""

    SUBMITTED = "SUBMITTED"
    PENDING = "PENDING"
    RUNNABLE = "RUNNABLE"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


Namespace = Annotated[
    str | None,
    typer.Option(
        "--namespace",
        "-n",
        help="Namespace; default: the context's own.",
        rich_help_panel=CLUSTER_PANEL,
        autocompletion=completion.namespaces,
    ),
]
AllNamespaces = Annotated[
    bool, typer.Option("--all-namespaces", "-A", help="Every namespace.", rich_help_panel=CLUSTER_PANEL)
]
Context = Annotated[
    str | None, typer.Option("--context", help="Context of the kubeconfig.", rich_help_panel=CLUSTER_PANEL)
]
Kubeconfig = Annotated[
    str | None,
    typer.Option(
        "--kubeconfig", help="Kubeconfig file; default: $KUBECONFIG or ~/.kube/config.", rich_help_panel=CLUSTER_PANEL
    ),
]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="How to print.", case_sensitive=False)]

Jobs = Annotated[
    list[str],
    typer.Argument(
        metavar="JOB",
        help="Jobs, by name or jobId.",
        autocompletion=completion.jobs,
        callback=references.whole_jobs_only,
    ),
]
JobsOrElements = Annotated[
    list[str],
    typer.Argument(
        metavar="JOB[:INDEXES]",
        help="Jobs, by name or jobId, or elements of an array: sim:17, sim:3,7-9.",
        autocompletion=completion.jobs,
        callback=references.elements_allowed,
    ),
]
JobsOrParts = Annotated[
    list[str],
    typer.Argument(
        metavar="JOB[:INDEXES|#NODE]",
        help="Jobs, by name or jobId, elements of an array: sim:17, sim:3,7-9, or nodes of a multi-node job: train#2.",
        autocompletion=completion.jobs,
        callback=references.parts_allowed,
    ),
]
JobOrElement = Annotated[
    str,
    typer.Argument(
        metavar="JOB[:INDEX|#NODE]",
        help="The job, by name or jobId, an element of an array: sim:17, or a node of a multi-node job: train#2.",
        autocompletion=completion.jobs,
        callback=references.element_allowed,
    ),
]
JobOrElements = Annotated[
    str,
    typer.Argument(
        metavar="JOB[:INDEXES]",
        help="The job, by name or jobId, or elements of an array: sim:17, sim:3,7-9.",
        autocompletion=completion.jobs,
        callback=references.job_or_elements,
    ),
]
Queue = Annotated[
    str | None,
    typer.Option("--queue", "-q", help="Name of the JobQueue.", autocompletion=completion.queues),
]
Definition = Annotated[
    str | None,
    typer.Option(
        "--definition",
        "-d",
        help="Name of the JobDefinition, or name:revision.",
        autocompletion=completion.definitions,
    ),
]
EndReason = Annotated[str, typer.Option("--reason", help="Becomes the statusReason.")]
