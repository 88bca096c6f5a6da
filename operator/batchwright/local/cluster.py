"""up, down: the whole life of an embedded cluster, for the command line, the tests and the demo.

Invariants: `up` is idempotent and adds what is missing; killed at any instruction, it can be repeated (what was left
half-made is torn down first); `down` leaves no process, mount or file of the cluster, whatever state it was in.
One command at a time works on a cluster (a lock file beside its directory).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from batchwright.errors import LocalError
from batchwright.local import (
    aws,
    binaries,
    controlplane,
    install,
    kind,
    nodes,
    operator_process,
    paths,
    ports,
    processes,
    real,
    runtimes,
)
from batchwright.local.locks import exclusive
from batchwright.local.nodes import NodeShape
from batchwright.local.progress import Reporter, silent
from batchwright.local.state import ClusterState, Ports, load_state, save_state

DEFAULT_NODES = 4
_LOCK_SECONDS = 1800.0
LOOKS = 5


@dataclass(frozen=True)
class Options:
    """What `up` is asked for. `nodes` None: 4 simulated nodes, or none with a real node or an existing cluster.

    `without_controllers`: controllers of kube-controller-manager that shall not run, because somebody plays their part.
    `feature_gates`: those of Kubernetes to be on that are not by default; `served_apis`: versions to be served that are
    not by default, such as scheduling.k8s.io/v1beta1.
    """

    name: str = paths.DEFAULT_NAME
    runtime: runtimes.Requested = "auto"
    nodes: int | None = None
    shape: NodeShape = field(default_factory=NodeShape)
    real_node: bool = False
    aws: bool = False
    operator: bool = False
    audit: bool = False
    without_controllers: tuple[str, ...] = ()
    feature_gates: tuple[str, ...] = ()
    served_apis: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cluster:
    """A cluster that is up. `audit_log` is there only when it was made with `audit`."""

    name: str
    kubeconfig: Path
    aws_endpoint: str | None
    directory: Path
    audit_log: Path | None = None


def up(options: Options, reporter: Reporter | None = None) -> Cluster:
    """Make the cluster, or bring it to what `options` ask for, and return when it is ready.

    Raises LocalError (or a kind of it) with what to do about it.
    """
    tell = reporter or silent()
    directory = paths.cluster_directory(options.name)
    if options.nodes is not None and options.nodes < 0:
        raise LocalError(f"--nodes {options.nodes} must not be negative")
    if options.aws:
        aws.check_installed()
    if options.real_node:
        real.check_privileges()
    with _locked(options.name):
        state = _resume(directory, options, tell) or _create(directory, options, tell)
        state = _add_missing(directory, state, options, tell)
    return describe(directory, state)


def down(name: str = paths.DEFAULT_NAME, reporter: Reporter | None = None) -> bool:
    """End and delete the cluster, in whatever state it is; return whether there was anything to delete."""
    tell = reporter or silent()
    directory = paths.cluster_directory(name)
    with _locked(name):
        if not directory.exists() and not processes.find(directory):
            return False
        with tell.step(f"delete cluster {name}"):
            _tear_down(directory)
    return True


def describe(directory: Path, state: ClusterState) -> Cluster:
    """What a user of the cluster needs to know of it."""
    return Cluster(
        name=state.name,
        kubeconfig=kubeconfig_of(directory, state),
        aws_endpoint=None if state.aws_port is None else aws.endpoint(state.host_address, state.aws_port),
        directory=directory,
        audit_log=controlplane.audit_log(directory) if state.audit else None,
    )


def kubeconfig_of(directory: Path, state: ClusterState) -> Path:
    """The kubeconfig of the cluster, whatever its runtime."""
    return controlplane.kubeconfig_of(directory) if state.runtime == "binary" else directory / "kubeconfig.yaml"


def _locked(name: str) -> AbstractContextManager[None]:
    return exclusive(paths.state_root() / "locks" / f"{name}.lock", _LOCK_SECONDS, f"cluster {name}")


def _resume(directory: Path, options: Options, tell: Reporter) -> ClusterState | None:
    """The cluster that is there, its control plane running; None when there is none (any more)."""
    state = load_state(directory)
    if state is None or state.phase == "creating":
        if directory.exists() or processes.find(directory):
            with tell.step("clear what an interrupted `up` left"):
                _tear_down(directory)
        return None
    _check_compatible(state, options)
    if state.real_node:
        network = real.prepare(directory)
        if network.host_address != state.host_address:
            raise LocalError(
                f"the real node's network has moved from {state.host_address} to {network.host_address}: "
                f"run `batchwright local down --name {state.name}` first"
            )
    if state.runtime == "binary" and not _runs(directory):
        with tell.step(f"start cluster {state.name} again"):
            state = state.model_copy(update={"binaries": _binaries(state.real_node, tell), "started_at": time.time()})
            controlplane.start(directory, state)
            save_state(directory, state)
    return state


def _runs(directory: Path) -> bool:
    return not controlplane.missing_components(directory) and controlplane.is_ready(directory)


def _check_compatible(state: ClusterState, options: Options) -> None:
    first = f"run `batchwright local down --name {state.name}` first, or choose another --name"
    if options.real_node and not state.real_node:
        raise LocalError(f"--real-node: cluster {state.name} was made without a real node; {first}")
    if options.audit and not state.audit:
        raise LocalError(f"--audit: cluster {state.name} was made without an audit log; {first}")
    if options.without_controllers not in ((), state.without_controllers):
        raise LocalError(f"cluster {state.name} was made with other controllers; {first}")
    if options.feature_gates not in ((), state.feature_gates) or options.served_apis not in ((), state.served_apis):
        raise LocalError(f"cluster {state.name} was made with other features; {first}")
    if options.runtime not in ("auto", state.runtime):
        raise LocalError(f"--runtime {options.runtime}: cluster {state.name} has runtime {state.runtime}; {first}")


def _create(directory: Path, options: Options, tell: Reporter) -> ClusterState:
    runtime, why = runtimes.choose(options.runtime, options.real_node)
    tell.note(f"runtime {runtime}: {why}")
    now = time.time()
    state = ClusterState(
        name=options.name,
        runtime=runtime,
        created_at=now,
        started_at=now,
        real_node=options.real_node,
        audit=options.audit,
        without_controllers=options.without_controllers,
        feature_gates=options.feature_gates,
        served_apis=options.served_apis,
    )
    make: dict[str, Callable[[Path, ClusterState, Reporter], ClusterState]] = {
        "binary": _create_binary,
        "kind": _create_kind,
        "existing": _adopt_existing,
    }
    if options.audit and runtime != "binary":
        raise LocalError(f"--audit works with --runtime binary only, not {runtime}")
    if (options.feature_gates or options.served_apis) and runtime != "binary":
        raise LocalError(f"features are chosen with --runtime binary only, not {runtime}")
    state = make[runtime](directory, state, tell).model_copy(update={"phase": "ready"})
    save_state(directory, state)
    return state


def _create_binary(directory: Path, state: ClusterState, tell: Reporter) -> ClusterState:
    found = _binaries(state.real_node, tell)
    save_state(directory, state)
    if state.real_node:
        with tell.step("prepare the real node's network"):
            state = state.model_copy(update={"host_address": real.prepare(directory).host_address})
    chosen = Ports(**dict(zip(Ports.model_fields, ports.free_ports(len(Ports.model_fields)), strict=True)))
    state = state.model_copy(update={"ports": chosen, "binaries": found, "started_at": time.time()})
    save_state(directory, state)
    with tell.step("start the control plane") as show:
        controlplane.create(directory, state)
        version = controlplane.server_version(directory)
        show(version)
    return state.model_copy(update={"version": version})


def _create_kind(directory: Path, state: ClusterState, tell: Reporter) -> ClusterState:
    save_state(directory, state)
    with tell.step("create the kind cluster"):
        kind.create(state.name, directory / "kubeconfig.yaml")
    return state


def _adopt_existing(directory: Path, state: ClusterState, tell: Reporter) -> ClusterState:
    kubectl = install.find_kubectl()
    with tell.step("reach the cluster of the current kubeconfig context") as show:
        context = install.run_kubectl(kubectl, None, "config", "current-context").strip()
        install.run_kubectl(kubectl, None, "get", "--raw", "/readyz")
        flat = install.run_kubectl(kubectl, None, "config", "view", "--minify", "--flatten", "--raw")
        save_state(directory, state)
        # A copy of that one context: switching contexts later must not move the operator to another cluster.
        kubeconfig = directory / "kubeconfig.yaml"
        kubeconfig.touch(mode=0o600)
        kubeconfig.write_text(flat)
        show(context)
    return state.model_copy(update={"context": context})


def _binaries(real_node: bool, tell: Reporter) -> dict[str, Path]:
    wanted = (*binaries.CONTROL_PLANE, *(binaries.REAL_NODE if real_node else ()))
    return binaries.ensure(wanted, tell)


def _add_missing(directory: Path, state: ClusterState, options: Options, tell: Reporter) -> ClusterState:
    kubeconfig = kubeconfig_of(directory, state)
    _add_nodes(directory, state, options, tell)
    if state.real_node:
        with tell.step("start the real node"):
            real.start(directory, kubeconfig, state.binaries)
    if options.aws or state.aws_port is not None:
        if state.aws_port is None:
            # An operator that runs already knows nothing of the endpoint.
            processes.end(directory, [operator_process.COMPONENT])
        port = state.aws_port or ports.free_ports(1, state.host_address)[0]
        state = _remember(directory, state, aws_port=port)
        with tell.step("start the AWS endpoint") as show:
            # Only clusters of ours have kwok, which keeps the nodes ready.
            aws.start(directory, state.host_address, port, None if state.runtime == "existing" else kubeconfig)
            show(aws.endpoint(state.host_address, port))
    if options.operator or state.operator_port is not None:
        with tell.step("install the CRDs"):
            install.apply_crds(kubeconfig)
        port = state.operator_port or ports.free_ports(1)[0]
        state = _remember(directory, state, operator_port=port)
        with tell.step("start the operator"):
            variables = _operator_environment(describe(directory, state))
            operator_process.start(directory, kubeconfig, port, variables, alone=state.runtime != "existing")
    return state


def _add_nodes(directory: Path, state: ClusterState, options: Options, tell: Reporter) -> None:
    count = options.nodes
    if count is None:
        count = 0 if state.real_node or state.runtime == "existing" else DEFAULT_NODES
    if count == 0:
        return
    if state.runtime == "existing":
        raise LocalError("--nodes: simulated nodes are not put into a cluster of yours; use --runtime binary or kind")
    kubeconfig = kubeconfig_of(directory, state)
    if state.runtime == "kind":
        kwok = binaries.ensure(["kwok"], tell)["kwok"]
        kind.start_kwok(directory, kubeconfig, kwok, ports.free_ports(1)[0])
    with tell.step(f"{count} simulated nodes") as show:
        made = nodes.ensure_nodes(kubeconfig, count, options.shape)
        show(f"{made} new")
    there, _ = nodes.count_nodes(kubeconfig)
    if there > made:
        tell.note(f"{there - made} of the {there} nodes were there before and stay as they are (`down` makes anew)")


def environment(cluster: Cluster) -> dict[str, str]:
    """The environment variables with which other programs use the cluster."""
    found = {"KUBECONFIG": str(cluster.kubeconfig)}
    return found | (aws.environment(cluster.aws_endpoint) if cluster.aws_endpoint else {})


def _operator_environment(cluster: Cluster) -> dict[str, str]:
    # Instances of the embedded endpoint are there in a second, and nobody pays for the calls.
    found = environment(cluster)
    return found | (aws.OPERATOR_SETTINGS if cluster.aws_endpoint else {})


def _remember(directory: Path, state: ClusterState, **changes: int) -> ClusterState:
    changed = state.model_copy(update=changes)
    if changed != state:
        save_state(directory, changed)
    return changed


def _tear_down(directory: Path) -> None:
    try:
        state = load_state(directory)
    except LocalError:
        state = None  # unreadable: everything is tried
    processes.end(directory, [operator_process.COMPONENT, aws.COMPONENT])
    if state is None or state.real_node:
        real.stop(directory)
    if state is not None and state.runtime == "kind":
        kind.delete(state.name, directory / "kubeconfig.yaml")
    # What they keep is deleted with them, so nothing is gained by letting them end in their own time. An `up` that was
    # killed leaves kwokctl behind, which starts one more while the others are looked for.
    for _ in range(LOOKS):
        if not processes.end(directory, seconds=0):
            break
    _check_no_mounts(directory)
    if directory.exists():
        shutil.rmtree(directory)


def _check_no_mounts(directory: Path) -> None:
    """LocalError when something is mounted below: deleting the directory would delete what is mounted."""
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    below = [point for point in mounted if Path(point).is_relative_to(directory)]
    if below:
        raise LocalError(f"still mounted below {directory}: {', '.join(below)}; unmount and run `down` again")
