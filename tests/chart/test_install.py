"""helm install, upgrade, rollback, uninstall and install again, where the real node runs the operator's own image.

Jobs run through all of it: their pods are the same ones before and after.
"""

from __future__ import annotations

import json
import os
import shutil
import tarfile
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from apiserver import ApiServer, Manifest
from batchwright.local import cluster as local_cluster
from batchwright.local import images
from batchwright.local.images.archive import read_tags
from batchwright.local.realnode import import_image
from helmchart import CHART, RELEASE, Helm, with_image
from kubecluster import Cluster
from operatorimage import IMAGE, ensure_operator_image
from stage import Stage, shell
from watches import until

pytestmark = [
    pytest.mark.real_node,
    pytest.mark.slow,
    pytest.mark.timeout(540),
    pytest.mark.skipif(os.geteuid() != 0, reason="a real node needs root"),
]

NAMESPACE = RELEASE
LEASE = ("batchwright-operator", "kube-system")
# Nothing else can take the image: simulated nodes only pretend.
VALUES: Manifest = {
    "nodeSelector": {"batchwright.io/node": "real"},
    "resources": {"requests": {"cpu": "50m", "memory": "128Mi"}},
    "settings": {"startGraceSeconds": 30},
}


# Of no commit, so that the image is built anew only where something in it changes.
LABELLED = {"VERSION": "1.2.3", "REVISION": "c0ffee"}
# Of the archive, which is not compressed: 276 MB, and some room for newer packages.
MOST_BYTES = 290_000_000
# From the creation of a pod to the Lease in its hands: 6.6 and 13.2 s on two cores that were busy with other things.
START_SECONDS = 30


class Installation:
    """One release on the cluster, and the pods of its operator."""

    def __init__(self, helm: Helm, api: ApiServer) -> None:
        self._helm, self._api = helm, api

    def apply(self, chart: Path = CHART, **values: object) -> None:
        """Install it, or upgrade what there is; returns when helm finds it ready."""
        self._helm.run(
            "upgrade",
            RELEASE,
            str(chart),
            "--install",
            f"--namespace={NAMESPACE}",
            "--create-namespace",
            "--values=-",
            "--wait",
            "--timeout=120s",
            stdin=with_image({**VALUES, **values}),
        )

    def upgrade(self, **values: object) -> None:
        """As docs/install.md says it: what was set is kept, and the rest is the new chart's."""
        self._helm.run(
            *("upgrade", RELEASE, str(CHART), f"--namespace={NAMESPACE}", "--reset-then-reuse-values", "--wait"),
            *("--timeout=120s", "--values=-"),
            stdin=yaml.safe_dump(values),
        )

    def roll_back(self) -> None:
        """As docs/upgrading.md says it: what was before the last upgrade."""
        self._helm.run("rollback", RELEASE, f"--namespace={NAMESPACE}", "--wait", "--timeout=120s")

    def uninstall(self) -> None:
        """Take it away."""
        self._helm.run("uninstall", RELEASE, f"--namespace={NAMESPACE}", "--wait", "--timeout=90s")

    def pods(self) -> list[Manifest]:
        """The operator's pods."""
        return self._api.list("Pod", NAMESPACE, labelSelector="app.kubernetes.io/name=batchwright")

    def live_pods(self) -> list[Manifest]:
        """Those of them that are not going."""
        return [pod for pod in self.pods() if "deletionTimestamp" not in pod["metadata"]]

    @property
    def holder(self) -> str:
        """The pod that works; nothing while nobody does."""
        lease = self._api.find("Lease", *LEASE)
        identity = str(lease["spec"].get("holderIdentity") or "") if lease else ""
        return identity.rpartition("-")[0]


@pytest.fixture(scope="module")
def image() -> Path:
    """The archive of the operator's image, with labels as a release has them."""
    return ensure_operator_image(labelled=LABELLED)


@pytest.fixture(scope="module")
def installation(
    chart_cluster: local_cluster.Cluster, cluster_helm: Helm, chart_api: ApiServer, image: Path
) -> Iterator[Installation]:
    """Nothing installed yet, but everything that is needed for it; nothing stays of it."""
    for archive in (image, images.ensure_busybox()):
        import_image(chart_cluster.name, chart_cluster.directory, archive)
    made = Installation(cluster_helm, chart_api)
    yield made
    made.uninstall()
    until(lambda: made.pods() == [], "an operator's pod stays", 60)


@pytest.fixture
def place(chart_api: ApiServer) -> Iterator[str]:
    """A namespace of the test's own."""
    name = f"t-{uuid.uuid4().hex[:6]}"
    chart_api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    chart_api.delete("Namespace", name)


def older_chart(directory: Path) -> Path:
    """The chart as an earlier release may have been: another version, values that are missing, and another CRD."""
    chart = directory / "batchwright"
    shutil.copytree(CHART, chart)
    about = yaml.safe_load((chart / "Chart.yaml").read_text())
    (chart / "Chart.yaml").write_text(yaml.safe_dump({**about, "version": "0.0.9"}))
    values = yaml.safe_load((chart / "values.yaml").read_text())
    del values["monitoring"]
    (chart / "values.yaml").write_text(yaml.safe_dump(values))
    shutil.rmtree(chart / "templates/monitoring")
    crd = chart / "templates/crds/jobqueues.batchwright.io.yaml"
    text = crd.read_text()
    assert text.count("    - jq\n") == 1
    crd.write_text(text.replace("    - jq\n", "    - oldjq\n"))
    return chart


def started_after(pods: list[Manifest], lease: Manifest) -> float:
    """How many seconds after the creation of the first pod the Lease was taken."""
    created = min(datetime.fromisoformat(pod["metadata"]["creationTimestamp"]) for pod in pods)
    return (datetime.fromisoformat(lease["spec"]["acquireTime"]) - created).total_seconds()


def test_the_image_says_what_it_is_and_does_not_grow(image: Path) -> None:
    assert read_tags(image) == (IMAGE,)
    with tarfile.open(image) as archive:

        def read(name: str) -> Any:
            member = archive.extractfile(name)
            assert member is not None
            return json.load(member)

        config = read(read("manifest.json")[0]["Config"])["config"]
    said = {key.removeprefix("org.opencontainers.image."): value for key, value in config["Labels"].items()}
    assert (said["version"], said["revision"], said["licenses"]) == ("1.2.3", "c0ffee", "Apache-2.0")
    assert config["User"] == "65532:65532"
    assert image.stat().st_size < MOST_BYTES


def test_jobs_run_through_install_upgrade_rollback_uninstall_and_install(
    installation: Installation, chart_api: ApiServer, chart_kubectl: Cluster, place: str, tmp_path: Path
) -> None:
    installation.apply(older_chart(tmp_path))
    until(lambda: installation.holder != "", "no operator works", 60)
    first = installation.pods()
    assert len(first) == 2
    lease = chart_api.find("Lease", *LEASE)
    assert lease is not None
    seconds = started_after(first, lease)
    print(f"worked {seconds:.1f} s after the creation of its pod")
    assert seconds < START_SECONDS
    assert installation.holder in {pod["metadata"]["name"] for pod in first}

    stage = Stage(chart_api, place)
    try:
        stage.real_environment()
        wait = "until [ -e /tmp/go ]; do sleep 0.2; done"
        stage.define("long", containerProperties=shell(wait), retryStrategy={"attempts": 2})
        stage.define("brief", containerProperties=shell("echo done"))
        one = stage.submit("one", "long")
        many = stage.submit("many", "long", arrayProperties={"size": 3})
        stage.wait("one", "RUNNING", 90)
        stage.wait(
            "many", lambda status: status.get("arrayProperties", {}).get("statusSummary", {}).get("RUNNING") == 3, 90
        )
        running = {pod["metadata"]["uid"] for job in (one, many) for pod in stage.pods(job)}
        assert len(running) == 4

        # A new version of chart and kinds, and new pods of the operator.
        installation.upgrade(podAnnotations={"release": "next"})
        assert not {pod["metadata"]["uid"] for pod in first} & {
            pod["metadata"]["uid"] for pod in installation.live_pods()
        }
        assert _short_names(chart_api) == ["jq"]
        stage.submit("between", "brief")
        stage.wait("between", "SUCCEEDED", 90)

        # And back, kinds and all, as somebody does who does not like the new one.
        installation.roll_back()
        until(lambda: _short_names(chart_api) == ["oldjq"], "the kind is not the older one's", 30)
        assert not any("release" in pod["metadata"].get("annotations", {}) for pod in installation.live_pods())
        stage.submit("back", "brief")
        stage.wait("back", "SUCCEEDED", 90)
        assert _running(stage, one, many) == running

        installation.uninstall()
        until(lambda: installation.pods() == [], "an operator's pod stays", 60)
        assert {"one", "many", "between", "back"} == {
            job["metadata"]["name"] for job in chart_api.list("BatchJob", place)
        }
        assert _running(stage, one, many) == running
        stage.submit("meanwhile", "brief")

        # They end while there is no operator, and the next one finds out.
        for job in (one, many):
            for pod in stage.pods(job):
                chart_kubectl.kubectl("-n", place, "exec", pod["metadata"]["name"], "--", "touch", "/tmp/go")
        until(
            lambda: all(pod["status"]["phase"] == "Succeeded" for job in (one, many) for pod in stage.pods(job)),
            "the pods do not end",
            120,
        )
        installation.apply()
        for name in ("one", "many", "meanwhile"):
            assert stage.wait_final(name, 90)["state"] == "SUCCEEDED"
        assert len(stage.status("one")["attempts"]) == 1
        assert running == {pod["metadata"]["uid"] for job in (one, many) for pod in stage.pods(job)}
    finally:
        stage.close()


def test_the_operator_is_as_restricted_as_it_says(
    installation: Installation, chart_kubectl: Cluster, chart_api: ApiServer
) -> None:
    chart_kubectl.kubectl(
        "label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted", "--overwrite"
    )
    installation.apply(podAnnotations={"security": "restricted"})
    until(lambda: installation.holder in {pod["metadata"]["name"] for pod in installation.pods()}, "nobody works", 60)
    leader = installation.holder
    who = chart_kubectl.kubectl("-n", NAMESPACE, "exec", leader, "--", "id", "-u").stdout.strip()
    assert who == "65532"
    written = chart_kubectl.kubectl("-n", NAMESPACE, "exec", leader, "--", "touch", "/opt/x", check=False)
    assert "Read-only file system" in written.stderr
    assert all(
        status["restartCount"] == 0 for pod in installation.pods() for status in pod["status"]["containerStatuses"]
    )


def _short_names(api: ApiServer) -> list[str]:
    crd = api.find("CustomResourceDefinition", "jobqueues.batchwright.io")
    assert crd is not None
    return list(crd["spec"]["names"]["shortNames"])


def _running(stage: Stage, *jobs: str) -> set[str]:
    """The pods of the jobs that run."""
    found = [pod for job in jobs for pod in stage.pods(job)]
    return {pod["metadata"]["uid"] for pod in found if pod["status"]["phase"] == "Running"}
