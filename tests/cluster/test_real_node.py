"""A real node runs real pods: their logs, exit codes, networks, limits and images; and it goes without a trace.

One embedded cluster with a real node serves the whole module; the tests of its end make their own.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import textwrap
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from batchwright.local import binaries, cluster, images, processes, realnode
from batchwright.local.progress import silent
from batchwright.local.realnode import cgroups
from batchwright.local.realnode.namespace import find_init
from batchwright.local.realnode.network import interface_name, load_network

pytestmark = [
    pytest.mark.real_node,
    pytest.mark.skipif(os.geteuid() != 0, reason="a real node needs root"),
]

KUBECTL_SECONDS = 90
POD_SECONDS = 45
BUSYBOX = images.BUSYBOX_IMAGE


@dataclass(frozen=True)
class RealCluster:
    """An embedded cluster with a real node, and a namespace to work in."""

    name: str
    directory: Path
    kubeconfig: Path
    kubectl_binary: Path
    namespace: str = "default"

    def kubectl(self, *arguments: str, stdin: str = "") -> str:
        """Run kubectl and return its standard output; AssertionError with what it said when it fails."""
        done = subprocess.run(
            [self.kubectl_binary, f"--kubeconfig={self.kubeconfig}", f"--namespace={self.namespace}", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=KUBECTL_SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"kubectl {' '.join(arguments)} exited {done.returncode}: {done.stderr}"
        return done.stdout

    def apply(self, *manifests: dict[str, Any]) -> None:
        self.kubectl("apply", "--filename=-", stdin=yaml.safe_dump_all(manifests))

    def get(self, *arguments: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", "--output=json", *arguments))
        return found

    def run_job(self, name: str, script: str, **container: Any) -> str:
        """Run a one-pod Job to its success and return its log."""
        self.apply(job(name, script, **container))
        self.await_job(name, "Complete")
        return self.kubectl("logs", f"job/{name}")

    def await_job(self, name: str, condition: str) -> None:
        """Wait for the Job's condition; an early end with the other one fails at once."""
        other = {"Complete": "Failed", "Failed": "Complete"}[condition]

        def ended() -> bool:
            types = {
                entry["type"]
                for entry in self.get("job", name)["status"].get("conditions", ())
                if entry["status"] == "True"
            }
            assert other not in types, f"job {name} is {other}: {self.kubectl('logs', f'job/{name}')}"
            return condition in types

        await_true(ended, f"job {name} to be {condition}", explain=lambda: self.kubectl("get", "events"))

    def pod_of(self, job_name: str) -> dict[str, Any]:
        pods = self.get("pods", f"--selector=job-name={job_name}")["items"]
        assert len(pods) == 1
        found: dict[str, Any] = pods[0]
        return found


def await_true(
    condition: Callable[[], bool], what: str, seconds: float = POD_SECONDS, explain: Callable[[], str] = lambda: ""
) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"waited {seconds:.0f} s for {what}\n{explain()}")
        time.sleep(0.2)


def container(script: str, **fields: Any) -> dict[str, Any]:
    return {
        "name": "main",
        "image": BUSYBOX,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", textwrap.dedent(script)],
        **fields,
    }


def job(name: str, script: str, spec: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    pod = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container(script, **fields)]}
    pod |= (spec or {}).pop("pod", {})
    template = {"metadata": {"labels": {"app": name}}, "spec": pod}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": template, **(spec or {})},
    }


def pod(name: str, script: str, **fields: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [container(script, **fields)]},
    }


def service(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, **spec},
    }


def bring_up(name: str) -> RealCluster:
    kubectl = binaries.ensure(["kubectl"], silent())["kubectl"]
    made = cluster.up(cluster.Options(name=name, runtime="binary", real_node=True))
    realnode.import_image(name, made.directory, images.ensure_busybox())
    return RealCluster(name, made.directory, made.kubeconfig, kubectl)


@pytest.fixture(scope="module")
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Clusters of the tests live in a directory of their own, not among the user's."""
    with pytest.MonkeyPatch.context() as patch:
        home = tmp_path_factory.mktemp("state")
        patch.setenv("XDG_STATE_HOME", str(home))
        yield home


@pytest.fixture(scope="module")
def shared(state_home: Path) -> Iterator[RealCluster]:
    name = f"real-{os.getpid()}"
    try:
        yield bring_up(name)
    finally:
        cluster.down(name)


@pytest.fixture
def real(shared: RealCluster) -> Iterator[RealCluster]:
    """The module's cluster with a namespace of the test's own; its deletion is not waited for."""
    namespace = f"test-{uuid.uuid4().hex[:8]}"
    shared.kubectl("create", "namespace", namespace)
    mine = RealCluster(shared.name, shared.directory, shared.kubeconfig, shared.kubectl_binary, namespace)
    await_true(lambda: "default" in mine.kubectl("get", "serviceaccounts"), "the namespace's service account")
    yield mine
    shared.kubectl("delete", "namespace", namespace, "--wait=false")


def test_the_node_is_labelled_real_and_not_simulated(real: RealCluster) -> None:
    (node,) = real.get("nodes")["items"]

    assert node["metadata"]["name"] == realnode.node_name(real.name)
    assert node["metadata"]["labels"][realnode.NODE_LABEL] == "real"
    assert node["metadata"]["labels"].get("type") != "kwok"
    assert node["status"]["allocatable"]["cpu"] == str(os.cpu_count())


def test_a_job_runs_and_its_logs_come_through_the_api(real: RealCluster) -> None:
    assert real.run_job("hello", "echo hello from a real pod") == "hello from a real pod\n"


def test_an_exit_code_arrives(real: RealCluster) -> None:
    real.apply(job("fails", "exit 42"))
    real.await_job("fails", "Failed")

    (state,) = real.pod_of("fails")["status"]["containerStatuses"]
    assert state["state"]["terminated"]["exitCode"] == 42


def test_exec_runs_in_the_container(real: RealCluster) -> None:
    real.apply(pod("shell", "echo mine > /tmp/file; sleep 1000"))
    real.kubectl("wait", "--for=condition=Ready", "pod/shell", f"--timeout={POD_SECONDS}s")

    assert real.kubectl("exec", "shell", "--", "cat", "/tmp/file", "/proc/1/comm") == "mine\nsleep\n"


def test_a_deleted_pod_is_gone_within_its_grace_period(real: RealCluster) -> None:
    real.apply(pod("short", "trap 'exit 0' TERM; sleep 1000 & wait", resources={"requests": {"cpu": "250m"}}))
    real.kubectl("wait", "--for=condition=Ready", "pod/short", f"--timeout={POD_SECONDS}s")

    started = time.monotonic()
    real.kubectl("delete", "pod/short", "--grace-period=30", "--timeout=60s")
    assert time.monotonic() - started < 15, "a sandbox that ignores SIGTERM would take the whole grace period"


def test_a_pod_reaches_a_service_by_its_name(real: RealCluster) -> None:
    serve = "mkdir /tmp/www; echo served > /tmp/www/index.html; httpd -f -p 8080 -h /tmp/www"
    real.apply(pod("web", serve), service("web", ports=[{"port": 80, "targetPort": 8080}]))
    real.kubectl("wait", "--for=condition=Ready", "pod/web", f"--timeout={POD_SECONDS}s")

    # Rules and names follow the endpoints within moments.
    fetch = "for try in $(seq 50); do wget -q -O- http://{host}/ && exit 0; sleep 0.2; done; exit 1"
    for number, host in enumerate(("web", f"web.{real.namespace}.svc.cluster.local")):
        assert real.run_job(f"fetch-{number}", fetch.format(host=host)).splitlines()[-1] == "served"


def test_a_pod_reaches_the_api_server_at_its_service(real: RealCluster) -> None:
    said = real.run_job("api", r"printf 'GET / HTTP/1.0\r\n\r\n' | nc kubernetes.default.svc 443")

    assert "HTTP request to an HTTPS server" in said


def test_a_host_port_is_served_at_the_node(real: RealCluster) -> None:
    serve = "mkdir /tmp/www; echo served > /tmp/www/index.html; httpd -f -p 8080 -h /tmp/www"
    ready = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    real.apply(pod("web", serve, ports=[{"containerPort": 8080, "hostPort": 18080}], readinessProbe=ready))
    real.kubectl("wait", "--for=condition=Ready", "pod/web", f"--timeout={POD_SECONDS}s")
    network = load_network(real.directory / "node")
    assert network is not None

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://{network.node_address}:18080/", timeout=10) as answer:
        assert answer.read() == b"served\n"


def test_pods_of_an_indexed_job_find_each_other_by_name(real: RealCluster) -> None:
    script = """
        peer=ring-$((1 - JOB_COMPLETION_INDEX)).ring.$NAMESPACE.svc.cluster.local
        for try in $(seq 100); do
            nslookup $peer > /tmp/answer && break
            sleep 0.2
        done
        echo $(hostname -i) $(tail -n +3 /tmp/answer | awk '/^Address/ {print $2}')
        sleep 3
    """
    indexed = job(
        "ring",
        script,
        {"completions": 2, "parallelism": 2, "completionMode": "Indexed", "pod": {"subdomain": "ring"}},
        env=[{"name": "NAMESPACE", "value": real.namespace}],
    )
    real.apply(service("ring", clusterIP="None", publishNotReadyAddresses=True), indexed)
    real.await_job("ring", "Complete")

    pods = real.get("pods", "--selector=job-name=ring")["items"]
    said = [real.kubectl("logs", entry["metadata"]["name"]).split() for entry in pods]
    assert {own for own, _ in said} == {entry["status"]["podIP"] for entry in pods}
    assert said[0] == said[1][::-1], "each saw the other's address"


def test_a_pod_reaches_the_host_and_is_refused_at_once_beyond_it(real: RealCluster) -> None:
    network = load_network(real.directory / "node")
    assert network is not None
    with socket.create_server((network.host_address, 0)) as server:
        server.settimeout(POD_SECONDS)

        def greet() -> str:
            connection, (peer, _port) = server.accept()
            with connection:
                connection.sendall(b"the host\n")
            return str(peer)

        with ThreadPoolExecutor(1) as pool:
            peer = pool.submit(greet)
            said = real.run_job("host", f"nc {network.host_address} {server.getsockname()[1]} < /dev/null")
    assert said == "the host\n"
    assert peer.result() == network.node_address, "pods appear as their node"

    beyond = "start=$(date +%s); nc 192.0.2.1 80 2> /dev/null; echo $? $(( $(date +%s) - start ))"
    code, seconds = real.run_job("beyond", beyond).split()[-2:]
    assert code != "0"
    assert int(seconds) < 5


def test_a_container_over_its_memory_limit_is_oom_killed(real: RealCluster) -> None:
    limits = {"limits": {"memory": "24Mi"}, "requests": {"memory": "24Mi"}}
    real.apply(job("greedy", "dd if=/dev/zero of=/dev/null bs=200M count=1", resources=limits))
    real.await_job("greedy", "Failed")

    (state,) = real.pod_of("greedy")["status"]["containerStatuses"]
    assert (state["state"]["terminated"]["reason"], state["state"]["terminated"]["exitCode"]) == ("OOMKilled", 137)


@pytest.mark.parametrize(
    "image",
    [
        pytest.param("batchwright.local/nothing:1", id="our-own-domain"),
        pytest.param("registry.example.com/team/app:v1", id="another-registry"),
        pytest.param("busybox", id="docker-hub"),
        pytest.param("10.9.8.7:5000/app:v1", id="registry-by-address"),
    ],
)
def test_an_unknown_image_fails_promptly(real: RealCluster, image: str) -> None:
    real.apply(pod("unknown", "true", image=image))

    def refused() -> bool:
        statuses = real.get("pod", "unknown")["status"].get("containerStatuses", [])
        reasons = [status["state"].get("waiting", {}).get("reason") for status in statuses]
        return reasons in (["ErrImagePull"], ["ImagePullBackOff"])

    await_true(refused, f"the pull of {image} to fail", seconds=10)


def test_an_image_built_from_a_dockerfile_runs(real: RealCluster, tmp_path: Path) -> None:
    (tmp_path / "greeting").write_text(f"built {real.namespace}\n")
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text(
        "ARG BASE_IMAGE\nFROM $BASE_IMAGE\nARG WHOM\nCOPY greeting /greeting\n"
        'RUN echo "for $WHOM" >> /greeting\nENTRYPOINT ["/bin/cat"]\nCMD ["/greeting"]\n'
    )
    tag = f"batchwright.local/built:{real.namespace}"
    archive = images.build_image(tmp_path, dockerfile, tag, images.ensure_busybox(), {"WHOM": "a test"})
    try:
        realnode.import_image(real.name, real.directory, archive)
        assert real.run_job("built", "", image=tag, command=None) == f"built {real.namespace}\nfor a test\n"
    finally:
        archive.unlink()


@pytest.mark.slow
def test_the_python_image_talks_tls_to_the_api_server(real: RealCluster) -> None:
    realnode.import_image(real.name, real.directory, images.ensure_python())
    script = """
        import ssl, urllib.request
        root = "/var/run/secrets/kubernetes.io/serviceaccount"
        request = urllib.request.Request("https://kubernetes.default.svc/version")
        request.add_header("Authorization", "Bearer " + open(root + "/token").read())
        with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=root + "/ca.crt")) as answer:
            print(answer.status)
    """
    command = ["python3", "-c", textwrap.dedent(script)]

    assert real.run_job("python", "", image=images.PYTHON_IMAGE, command=command) == "200\n"


@pytest.mark.parametrize("program", ["containerd", "kubelet", "kube-proxy", "coredns"])
def test_a_program_that_dies_is_started_again(real: RealCluster, program: str) -> None:
    before = realnode.status(real.name, real.directory)
    assert before.programs[program]
    pid = pid_of(real, program)
    os.kill(pid, signal.SIGKILL)

    await_true(lambda: pid_of(real, program) not in (0, pid), f"another {program}")
    await_true(lambda: realnode.is_running(real.name, real.directory), "the node to be whole again")
    assert real.run_job("after", "nslookup kubernetes.default.svc.cluster.local > /dev/null && echo fine") == "fine\n"


def pid_of(real: RealCluster, program: str) -> int:
    """The host's pid of one of the node's programs: a child of its PID 1; 0 when there is none."""
    init = find_init(real.directory)
    for child in Path(f"/proc/{init}/task/{init}/children").read_text().split():
        if Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")[0].endswith(f"/{program}".encode()):
            return int(child)
    return 0


def test_what_runs_already_is_left_alone(real: RealCluster) -> None:
    programs = ("containerd", "kubelet", "kube-proxy", "coredns")
    before = [pid_of(real, program) for program in programs]
    network = realnode.prepare(real.name, real.directory)
    found = binaries.ensure(binaries.REAL_NODE, silent())
    realnode.start(real.name, real.directory, real.kubeconfig, found)

    assert network == load_network(real.directory / "node")
    assert 0 not in before
    assert [pid_of(real, program) for program in programs] == before


@dataclass(frozen=True)
class Traces:
    """What a node could leave on its host."""

    mounts: frozenset[str]
    interfaces: frozenset[str]
    rules: str
    routes: frozenset[str]
    kernel_settings: tuple[str, ...]
    places: frozenset[Path]


def traces(name: str) -> Traces:
    """The traces of the node of cluster `name`, and all that are nobody's; other clusters may come and go."""
    mine = interface_name(name)
    others = {link for link in os.listdir("/sys/class/net") if link.startswith("bw") and link != mine}
    settings = ("vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops", "net/ipv4/ip_forward")
    places = (Path("/var/lib/kubelet"), Path("/var/log/pods"), Path("/run/containerd"), Path("/opt/containerd"))
    routes = subprocess.run(["ip", "route"], capture_output=True, text=True, check=True).stdout.splitlines()
    return Traces(
        mounts=frozenset(Path("/proc/self/mounts").read_text().splitlines()),
        interfaces=frozenset(os.listdir("/sys/class/net")) - others,
        rules=subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout,
        routes=frozenset(route for route in routes if not others & set(route.split())),
        kernel_settings=tuple(Path("/proc/sys", name).read_text() for name in settings),
        places=frozenset(place for place in places if place.exists()),
    )


def processes_in(pid_namespace: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if os.readlink(entry / "ns/pid") == pid_namespace:
                    found.append(int(entry.name))
            except (FileNotFoundError, PermissionError):
                continue  # ended meanwhile, or one that not even root may look at
    return found


@pytest.mark.parametrize("crash", [pytest.param(False, id="in-use"), pytest.param(True, id="its-pid-1-killed")])
def test_stop_leaves_nothing_behind(shared: RealCluster, crash: bool) -> None:
    name = f"gone-{os.getpid()}"
    before = traces(name)
    mine = bring_up(name)  # beside the module's cluster: two nodes on one host
    try:
        mine.run_job("work", "echo done > /file")
        mine.apply(pod("busy", "sleep 1000"))
        mine.kubectl("wait", "--for=condition=Ready", "pod/busy", f"--timeout={POD_SECONDS}s")
        init = find_init(mine.directory)
        assert init is not None
        pid_namespace = os.readlink(f"/proc/{init}/ns/pid")
        assert len(processes_in(pid_namespace)) > 5
        assert cgroups.existing(name)
        assert interface_name(name) in traces(name).interfaces - before.interfaces
        assert traces(name).mounts == before.mounts, "not even while it runs are its mounts the host's"
        networks = [load_network(made.directory / "node") for made in (mine, shared)]
        assert None not in networks
        assert networks[0] != networks[1]
        if crash:
            os.kill(init, signal.SIGKILL)

        realnode.stop(name, mine.directory)

        assert traces(name) == before
        assert processes_in(pid_namespace) == []
        assert cgroups.existing(name) == []
        assert not (mine.directory / "node").exists()
        realnode.stop(name, mine.directory)  # nothing to stop is fine
    finally:
        cluster.down(name)
    assert processes.find(mine.directory) == []
    assert shared.get("nodes")["items"], "the neighbour is untouched"


def test_a_node_that_lost_its_namespaces_comes_back(state_home: Path) -> None:
    name = f"back-{os.getpid()}"
    try:
        mine = bring_up(name)
        network = load_network(mine.directory / "node")
        init = find_init(mine.directory)
        assert init is not None
        mine.apply(pod("keeps-running", "sleep 1000"))
        mine.kubectl("wait", "--for=condition=Ready", "pod/keeps-running", f"--timeout={POD_SECONDS}s")
        os.kill(init, signal.SIGKILL)
        await_true(lambda: find_init(mine.directory) is None, "PID 1 to be gone", seconds=10)

        again = bring_up(name)

        assert load_network(again.directory / "node") == network, "the API server's certificate names this address"
        assert again.run_job("again", "echo I am back") == "I am back\n"

        def restarted() -> bool:
            (state,) = again.get("pod", "keeps-running")["status"]["containerStatuses"]
            return state["restartCount"] == 1 and state["ready"]

        await_true(restarted, "the pod to be started again, as after a reboot")
    finally:
        cluster.down(name)
