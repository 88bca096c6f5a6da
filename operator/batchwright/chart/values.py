"""The values of the Helm chart, of which `values.yaml` and `values.schema.json` are made.

Invariants: a key that is not here is refused by Helm; a default is written in one place. The operator's settings are
those of `batchwright.settings`, so that a new one is in the chart with the next `make chart`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.alias_generators import to_camel

from batchwright.settings import Settings

# Said elsewhere in the values, or by the chart itself.
_NOT_SETTINGS: Final = frozenset(
    {"leader_election", "lease_namespace", "lease_name", "lease_seconds", "admission_policies"}
)
ROLE_ARN: Final = r"^(arn:aws[a-z-]*:iam::[0-9]{12}:role/.+)?$"
Anything = dict[str, Any]


class _Section(BaseModel):
    """A part of the values, closed to keys it does not know."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Image(_Section):
    """Where the operator's image is."""

    repository: str = Field(
        "", description="Registry and name, such as registry.example.com/batchwright. There is no default."
    )
    tag: str = Field("", description="The chart's appVersion where it is empty.")
    digest: str = Field(
        "", pattern="^(sha256:[0-9a-f]{64})?$", description="sha256:…, which then decides, and not the tag."
    )
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = Field("IfNotPresent", description="When it is pulled.")


class LeaderElection(_Section):
    """The Lease of the operators."""

    namespace: str = Field(
        "kube-system",
        min_length=1,
        description="Namespace of the Lease batchwright-operator, the same for all operators of a cluster.",
    )
    seconds: int = Field(10, ge=3, le=300, description="How long after the holder was last heard of another takes it.")


class Crds(_Section):
    """The kinds in the chart."""

    enabled: bool = Field(True, description="Install and upgrade the CustomResourceDefinitions with the chart.")
    keep: bool = Field(
        True,
        description="Leave them, and with them every job, and the admission policies that running jobs need, when the "
        "chart is uninstalled.",
    )


class AdmissionPolicies(_Section):
    """The admission policies in the chart."""

    enabled: bool | Literal["auto"] = Field(
        "auto",
        description="MutatingAdmissionPolicies, which arrays with items, retries of single elements and "
        "AWS_BATCH_JOB_ATTEMPT need. auto: on Kubernetes 1.36 and newer, which has them.",
    )


class Rbac(_Section):
    """Roles in the chart."""

    create: bool = Field(True, description="The operator's roles and their bindings.")
    job_roles: bool = Field(True, description="It may make ServiceAccounts, for jobRoleArn.")
    efs_volumes: bool = Field(True, description="It may make PersistentVolumes and their claims, for EFS volumes.")
    managed_environments: bool = Field(
        True, description="It may make, change and delete Nodes, for environments of type MANAGED."
    )
    user_roles: bool = Field(
        True,
        description="ClusterRoles for people: a viewer and an editor of each kind, added to Kubernetes' view, edit and "
        "admin, and two of all kinds, batch-user and batch-admin.",
    )


class ServiceAccount(_Section):
    """The operator's ServiceAccount."""

    create: bool = Field(True, description="Make the operator's ServiceAccount.")
    name: str = Field("", description="Its name; the release's where it is empty.")
    annotations: dict[str, str] = Field({}, description="Annotations of it.")


class PodIdentity(_Section):
    """A role by EKS Pod Identity."""

    enabled: bool = Field(
        False,
        description="The operator's role comes by an EKS Pod Identity association of its ServiceAccount, which is made "
        "in EKS. Here it opens the NetworkPolicy to the agent, and excludes roleArn.",
    )


class Aws(_Section):
    """The operator's region and role."""

    region: str = Field("", description="AWS_REGION of the operator.")
    role_arn: str = Field(
        "", pattern=ROLE_ARN, description="The operator's IAM role by IRSA: eks.amazonaws.com/role-arn."
    )
    pod_identity: PodIdentity = Field(PodIdentity(), description="EKS Pod Identity.")


class PodDisruptionBudget(_Section):
    """The operator's PodDisruptionBudget."""

    enabled: bool = Field(True, description="Keep drains from taking more operators at a time than maxUnavailable.")
    max_unavailable: Annotated[int, Field(ge=1)] | Annotated[str, Field(pattern=r"^[0-9]+%$")] = Field(
        1, description="How many, or a percentage."
    )


class NetworkPolicy(_Section):
    """The operator's NetworkPolicy."""

    enabled: bool = Field(False, description="Let in port 8080 only, and out DNS, the API server and AWS only.")
    api_server_ports: list[Annotated[int, Field(ge=1, le=65535)]] = Field(
        [443, 6443],
        description="Ports of the API server as its endpoints have them (`kubectl get endpointslices kubernetes`), and "
        "443 for AWS.",
    )
    ingress_from: list[Anything] = Field(
        [], description="Who may reach port 8080, as in a NetworkPolicy; all where it is empty. Probes come anyway."
    )
    extra_egress: list[Anything] = Field([], description="More rules of egress.")


class ServiceMonitor(_Section):
    """For the Prometheus Operator: what to scrape."""

    enabled: bool = Field(False, description="For the Prometheus Operator, whose CRDs must be there.")
    interval: str = Field("30s", pattern="^[0-9]+(ms|s|m|h)$", description="How often it is scraped.")
    labels: dict[str, str] = Field({}, description="Labels by which Prometheus selects it.")


class PrometheusRule(_Section):
    """For the Prometheus Operator: what to tell."""

    enabled: bool = Field(False, description="Alerts (files/alerts.yaml), for the Prometheus Operator.")
    labels: dict[str, str] = Field({}, description="Labels by which Prometheus selects it.")
    runbook_base_url: str = Field(
        "",
        pattern=r"^(https?://[^\s#]+)?$",
        description="Where people read docs/operations.md: the runbook_url of an alert is its section of it.",
    )


class Dashboard(_Section):
    """For Grafana."""

    enabled: bool = Field(False, description="A ConfigMap with a Grafana dashboard (files/dashboard.json).")
    namespace: str = Field("", description="Its namespace; the release's where it is empty.")
    labels: dict[str, str] = Field(
        {"grafana_dashboard": "1"}, description="Labels by which Grafana's sidecar finds it."
    )
    annotations: dict[str, str] = Field({}, description="Annotations of it, such as the sidecar's folder.")


class Monitoring(_Section):
    """What is for Prometheus and Grafana."""

    service_monitor: ServiceMonitor = Field(ServiceMonitor(), description="Scraping.")
    prometheus_rule: PrometheusRule = Field(PrometheusRule(), description="Alerting.")
    dashboard: Dashboard = Field(Dashboard(), description="Seeing.")


def _setting(name: str) -> tuple[Any, Any]:
    """The field of a setting; None stands for "as the operator has it": the key is absent then."""
    known = Settings.model_fields[name]
    kind: Any = Annotated[(known.annotation, *known.metadata)] if known.metadata else known.annotation
    return kind, Field(None, description=known.description, examples=[known.default])


OperatorSettings = create_model(
    "OperatorSettings",
    __base__=_Section,
    **{name: _setting(name) for name in Settings.model_fields if name not in _NOT_SETTINGS},  # type: ignore[call-overload]
)
OperatorSettings.__doc__ = None


class Values(_Section):
    """The values of the chart."""

    name_override: str = Field("", description="In place of the chart's name, in the names of objects.")
    fullname_override: str = Field("", description="In place of the release's and the chart's name.")
    global_: Anything = Field({}, alias="global", description="Helm's own; the chart reads nothing there.")

    image: Image = Field(Image(), description="The operator's image.")
    image_pull_secrets: list[dict[Literal["name"], str]] = Field(
        [], description="Secrets to pull it with, as [{name: …}]."
    )
    replicas: int = Field(2, ge=0, description="One operator works, the others stand by.")
    leader_election: LeaderElection = Field(LeaderElection(), description="Which of them works.")
    settings: OperatorSettings = Field(OperatorSettings(), description="How the operator works.")
    startup_seconds: int = Field(
        600,
        ge=30,
        le=86400,
        description="How long it may take to list everything when it starts, before it is started again.",
    )
    log_format: Literal["json", "text"] = Field("json", description="One JSON object a line, or text.")
    verbose: bool = Field(False, description="Log debug messages.")
    extra_env: list[Anything] = Field([], description="More environment variables, as in a container.")

    crds: Crds = Field(Crds(), description="The kinds.")
    admission_policies: AdmissionPolicies = Field(AdmissionPolicies(), description="What pods' templates cannot say.")
    rbac: Rbac = Field(Rbac(), description="Who may do what.")
    service_account: ServiceAccount = Field(ServiceAccount(), description="Who the operator is.")
    aws: Aws = Field(Aws(), description="For environments of type MANAGED on EC2.")

    resources: Anything = Field(
        {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
        description="Memory grows with the number of jobs and pods: 100,000 finished jobs take some 400Mi.",
    )
    priority_class_name: str = Field(
        "", description="Such as system-cluster-critical, which keeps it running when nodes are full."
    )
    node_selector: dict[str, str] = Field({}, description="Nodes it may run on.")
    tolerations: list[Anything] = Field([], description="Taints it tolerates.")
    affinity: Anything = Field({}, description="Affinity of its pods.")
    topology_spread_constraints: list[Anything] = Field(
        [], description="How its pods are spread; over nodes, where possible, if it is empty."
    )
    pod_annotations: dict[str, str] = Field({}, description="Annotations of its pods.")
    pod_labels: dict[str, str] = Field({}, description="Labels of its pods.")
    pod_security_context: Anything = Field(
        {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "fsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        description="Enough for the level restricted of Pod Security. On OpenShift set runAsUser, runAsGroup and "
        "fsGroup to null.",
    )
    security_context: Anything = Field(
        {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        description="The same of its container.",
    )
    pod_disruption_budget: PodDisruptionBudget = Field(PodDisruptionBudget(), description="While nodes are drained.")
    network_policy: NetworkPolicy = Field(NetworkPolicy(), description="What may talk to it, and it to what.")
    monitoring: Monitoring = Field(Monitoring(), description="Prometheus and Grafana.")


def default_values() -> dict[str, Any]:
    """What `values.yaml` says."""
    return Values().model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"global_"})


def environment_name(setting: str) -> str:
    """The environment variable of a key of `settings`."""
    return "BATCHWRIGHT_" + re.sub("([A-Z])", r"_\1", setting).upper()
