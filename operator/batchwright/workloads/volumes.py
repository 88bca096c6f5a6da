"""volumes, mountPoints and linuxParameters of containerProperties as pod volumes and mounts.

EFS: the EFS CSI driver mounts persistent volumes only (its id carries the file system, and inline volumes get an id of
the kubelet's making), so an EFS volume becomes a claim, and a volume made for it alone: `build_efs_objects`, which must
be in place before the pods. They are named by what they mean, hence shared by all jobs of the namespace that mean it.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Final

from batchwright import names
from batchwright.api.v1alpha1.container import ContainerProperties, EfsVolume, LinuxParameters, Volume
from batchwright.api.v1alpha1.jobdefinition import JobDefinitionSpec
from batchwright.workloads.shapes import Wire

EFS_DRIVER: Final = "efs.csi.aws.com"
# Both must be said, and EFS has no size.
EFS_NOMINAL_SIZE: Final = "1Gi"
_SHARED_MEMORY = "/dev/shm"


def pod_volumes(properties: ContainerProperties) -> tuple[list[Wire], list[Wire]]:
    """The pod's volumes and the main container's mounts."""
    volumes = [_volume(volume) for volume in properties.volumes]
    mounts = [_mount(point.source_volume, point.container_path, point.read_only) for point in properties.mount_points]
    taken = {volume.name for volume in properties.volumes}
    for source, path, purpose in _linux_volumes(properties.linux_parameters or LinuxParameters()):
        name = _free_name(purpose, taken)
        taken.add(name)
        volumes.append({"name": name, **source})
        mounts.append(_mount(name, path, read_only=False))
    return volumes, mounts


def build_efs_objects(definition: JobDefinitionSpec, namespace: str) -> list[Wire]:
    """The PersistentVolumes and PersistentVolumeClaims of the definition's EFS volumes; create those not yet there."""
    properties = definition.container_properties
    if properties is None:
        return []
    systems = [volume.efs_volume_configuration for volume in properties.volumes]
    by_claim = {_efs_name(efs): efs for efs in systems if efs is not None}
    return [made for claim, efs in by_claim.items() for made in _efs_objects(claim, efs, namespace)]


def _volume(volume: Volume) -> Wire:
    if volume.efs_volume_configuration is not None:
        claim = {"claimName": _efs_name(volume.efs_volume_configuration)}
        return {"name": volume.name, "persistentVolumeClaim": claim}
    if volume.persistent_volume_claim is not None:
        source = volume.persistent_volume_claim
        wire: Wire = {"claimName": source.claim_name}
        return {"name": volume.name, "persistentVolumeClaim": wire | ({"readOnly": True} if source.read_only else {})}
    if volume.host is not None and volume.host.source_path is not None:
        return {"name": volume.name, "hostPath": {"path": volume.host.source_path}}
    return {"name": volume.name, "emptyDir": {}}


def _linux_volumes(linux: LinuxParameters) -> Iterable[tuple[Wire, str, str]]:
    """(source, path in the container, purpose) of each volume that linuxParameters ask."""
    if linux.shared_memory_size is not None:
        yield _memory(linux.shared_memory_size), _SHARED_MEMORY, "shm"
    for number, tmpfs in enumerate(linux.tmpfs):
        yield _memory(tmpfs.size), tmpfs.container_path, f"tmpfs-{number}"
    for number, device in enumerate(linux.devices):
        yield {"hostPath": {"path": device.host_path}}, device.container_path or device.host_path, f"device-{number}"


def _memory(mebibytes: int) -> Wire:
    return {"emptyDir": {"medium": "Memory", "sizeLimit": f"{mebibytes}Mi"}}


def _mount(name: str, path: str, read_only: bool) -> Wire:
    mount: Wire = {"name": name, "mountPath": path}
    return mount | ({"readOnly": True} if read_only else {})


def _free_name(purpose: str, taken: set[str]) -> str:
    """A volume name of ours that no volume of the user has."""
    name = f"batchwright-{purpose}"
    number = 2
    while name in taken:
        name = f"batchwright-{purpose}-v{number}"
        number += 1
    return name


def _efs_name(efs: EfsVolume, namespace: str = "") -> str:
    digest = sha256(f"{namespace}/{efs.file_system_id}:{efs.root_directory}".encode()).hexdigest()[:12]
    return f"batchwright-efs-{digest}"


def _efs_objects(claim_name: str, efs: EfsVolume, namespace: str) -> list[Wire]:
    volume_name = _efs_name(efs, namespace)
    directory = efs.root_directory.rstrip("/")
    labels = {names.MANAGED_BY: names.FIELD_MANAGER}
    common: Wire = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    claim_ref = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace, "name": claim_name}
    volume: Wire = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": volume_name, "labels": labels},
        "spec": {
            **common,
            "capacity": {"storage": EFS_NOMINAL_SIZE},
            "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": claim_ref,
            "csi": {
                "driver": EFS_DRIVER,
                "volumeHandle": f"{efs.file_system_id}:{directory}" if directory else efs.file_system_id,
            },
        },
    }
    claim: Wire = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": claim_name, "namespace": namespace, "labels": labels},
        "spec": {**common, "resources": {"requests": {"storage": EFS_NOMINAL_SIZE}}, "volumeName": volume_name},
    }
    return [volume, claim]
