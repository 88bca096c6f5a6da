"""What the API server accepts and refuses when an object of ours is created: every rule and bound of the CRDs.

A refusal must be HTTP 422, name the field by its path, and say in words what is wrong; and nothing may be created.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from apiserver import ApiServer, Refused
from crd_cases import (
    accepted,
    arrayjob,
    batchjob,
    bj,
    capacity,
    clusterscoped,
    jobdefinition,
    multinode,
    named,
    scheduling,
)
from manifests import Manifest

TABLES = (batchjob, arrayjob, jobdefinition, multinode, clusterscoped, scheduling, capacity)
ACCEPTED = accepted.ACCEPTED + arrayjob.ACCEPTED + scheduling.ACCEPTED + capacity.ACCEPTED + multinode.ACCEPTED


@pytest.fixture(scope="module")
def shared_namespace(api: ApiServer) -> Iterator[str]:
    """One namespace for the whole table: every object gets a name of its own or is gone again."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    api.delete("Namespace", name)


@pytest.mark.parametrize(
    ("manifest", "want_field", "want_text"),
    batchjob.REFUSED
    + arrayjob.REFUSED
    + jobdefinition.REFUSED
    + multinode.REFUSED
    + clusterscoped.REFUSED
    + scheduling.REFUSED
    + capacity.REFUSED,
)
def test_bad_object_is_refused(
    api: ApiServer, shared_namespace: str, manifest: Manifest, want_field: str, want_text: str
) -> None:
    sent = _placed(manifest, shared_namespace)
    kind, name = sent["kind"], sent["metadata"]["name"]
    try:
        with pytest.raises(Refused) as refusal:
            api.create(sent)
        assert api.find(kind, name, shared_namespace) is None
    finally:
        api.delete(kind, name, shared_namespace)
    refused = refusal.value
    assert refused.status == 422
    assert want_field in refused.message
    about = [message for field, message in refused.causes if field == want_field]
    assert any(want_text in message for message in about), f"no {want_text!r} at {want_field} in {refused.causes}"


@pytest.mark.parametrize(("manifest", "want_defaults"), ACCEPTED)
def test_good_object_reads_back_as_sent(
    api: ApiServer, shared_namespace: str, manifest: Manifest, want_defaults: dict[str, object]
) -> None:
    sent = _placed(manifest, shared_namespace)
    kind, name = sent["kind"], sent["metadata"]["name"]
    api.create(sent)
    try:
        found = api.find(kind, name, shared_namespace)
        assert found is not None
        assert found["spec"] == sent["spec"] | want_defaults
    finally:
        api.delete(kind, name, shared_namespace)


def test_unknown_field_is_refused_by_strict_validation(api: ApiServer, shared_namespace: str) -> None:
    sent = _placed(bj(jobQeue="typo"), shared_namespace)
    with pytest.raises(Refused) as refusal:
        api.create(sent)
    assert refusal.value.status == 400
    assert 'unknown field "spec.jobQeue"' in refusal.value.message
    assert api.find("BatchJob", sent["metadata"]["name"], shared_namespace) is None


def test_status_is_not_taken_at_creation(api: ApiServer, shared_namespace: str) -> None:
    sent = _placed(named(bj(), "forged"), shared_namespace)
    created = api.create(sent | {"status": {"state": "SUCCEEDED"}})
    assert "status" not in created


def _placed(manifest: Manifest, namespace: str) -> Manifest:
    if "namespace" not in manifest["metadata"]:
        return manifest
    return manifest | {"metadata": manifest["metadata"] | {"namespace": namespace}}
