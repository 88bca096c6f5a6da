"""JobDefinitions that must be refused."""

from __future__ import annotations

import pytest

from crd_cases import asks, env, jd, jdc, named
from manifests import container

ONE_OF_TEMPLATE = "give exactly one of containerProperties, podTemplate and nodeProperties"
C = "spec.containerProperties"
ASKED = f"{C}.resourceRequirements"

REFUSED = [
    pytest.param(named(jd(), "n" * 129), "metadata.name", "at most 128 characters", id="jd-long-name"),
    pytest.param(jd(type="container"), "spec", ONE_OF_TEMPLATE, id="jd-neither"),
    pytest.param(jd(containerProperties=container(), podTemplate={}), "spec", ONE_OF_TEMPLATE, id="jd-both"),
    pytest.param(jd(type="swarm", containerProperties=container()), "spec.type", "supported values", id="jd-type"),
    pytest.param(jd(podTemplate="x"), "spec.podTemplate", "must be of type object", id="jd-template-word"),
    pytest.param(jdc(image=""), f"{C}.image", "at least 1", id="jd-image-empty"),
    pytest.param(jdc(image="busy box"), f"{C}.image", "must not contain blanks", id="jd-image-blank"),
    pytest.param(jdc(image="i" * 2049), f"{C}.image", "2048", id="jd-image-long"),
    pytest.param(jd(containerProperties={"image": "busybox"}), ASKED, "Required value", id="jd-no-requirements"),
    pytest.param(jdc(resourceRequirements=asks(VCPU="1")), ASKED, "MEMORY must be given", id="jd-no-memory"),
    pytest.param(jdc(resourceRequirements=asks(MEMORY="1")), ASKED, "VCPU must be given", id="jd-no-vcpu"),
    pytest.param(
        jdc(resourceRequirements=asks(VCPU="1", MEMORY="1") + asks(VCPU="2")),
        f"{ASKED}[2]",
        "Duplicate value",
        id="jd-vcpu-twice",
    ),
    pytest.param(
        jdc(resourceRequirements=asks(VCPU="1", MEMORY="1", DISK="2")),
        f"{ASKED}[2].type",
        "supported values",
        id="jd-requirement-type",
    ),
    *(
        pytest.param(
            jdc(resourceRequirements=asks(VCPU=vcpu, MEMORY=memory, GPU=gpu)), f"{ASKED}[{at}].value", want, id=case
        )
        for case, vcpu, memory, gpu, at, want in [
            ("jd-vcpu-0", "0", "1", "1", 0, "above 0"),
            ("jd-vcpu-0.000", "0.000", "1", "1", 0, "above 0"),
            ("jd-vcpu-milli", "500m", "1", "1", 0, "a VCPU value is a decimal number"),
            ("jd-vcpu-4-places", "0.0001", "1", "1", 0, "a VCPU value is a decimal number"),
            ("jd-vcpu-7-digits", "1000000", "1", "1", 0, "a VCPU value is a decimal number"),
            ("jd-memory-0", "1", "0", "1", 1, "a MEMORY value is a whole number of MiB"),
            ("jd-memory-fraction", "1", "0.5", "1", 1, "a MEMORY value is a whole number of MiB"),
            ("jd-memory-suffix", "1", "512MB", "1", 1, "a MEMORY value is a whole number of MiB"),
            ("jd-memory-10-digits", "1", "1000000000", "1", 1, "a MEMORY value is a whole number of MiB"),
            ("jd-gpu-0", "1", "1", "0", 2, "a GPU value is a whole number from 1"),
            ("jd-gpu-half", "1", "1", "0.5", 2, "a GPU value is a whole number from 1"),
            ("jd-value-empty", "1", "1", "", 2, "at least 1"),
            ("jd-value-long", "1" * 17, "1", "1", 0, "16"),
        ]
    ),
    pytest.param(jdc(environment=env("AWS_BATCH_X")), f"{C}.environment[0].name", "reserved", id="jd-env-reserved"),
    pytest.param(jdc(environment=env("A=B")), f"{C}.environment[0].name", "without =", id="jd-env-equals"),
    pytest.param(jdc(environment=env("ä")), f"{C}.environment[0].name", "printable ASCII", id="jd-env-ascii"),
    pytest.param(jdc(environment=env("A") * 2), f"{C}.environment[1]", "Duplicate value", id="jd-env-twice"),
    pytest.param(jdc(environment=[{"name": f"E{n}"} for n in range(257)]), f"{C}.environment", "256", id="jd-env-257"),
    pytest.param(
        jdc(environment=[{"name": "E", "value": "v" * 32769}]), f"{C}.environment[0].value", "32768", id="jd-env-value"
    ),
    pytest.param(
        jdc(secrets=[{"name": "S", "valueFrom": "arn:aws:secretsmanager:eu-west-1:1:secret:x"}]),
        f"{C}.secrets[0].valueFrom",
        "must be synced into a Secret first",
        id="jd-secret-arn",
    ),
    pytest.param(
        jdc(secrets=[{"name": "S", "valueFrom": "credentials"}]),
        f"{C}.secrets[0].valueFrom",
        "must be 'secret/key'",
        id="jd-secret-no-key",
    ),
    pytest.param(
        jdc(secrets=[{"name": "AWS_BATCH_S", "valueFrom": "a/b"}]),
        f"{C}.secrets[0].name",
        "reserved",
        id="jd-secret-reserved",
    ),
    pytest.param(
        jdc(mountPoints=[{"sourceVolume": "v", "containerPath": "/d"}]),
        f"{C}.mountPoints",
        "must be the name of one of volumes",
        id="jd-mount-without-volume",
    ),
    pytest.param(
        jdc(volumes=[{"name": "v"}], mountPoints=[{"sourceVolume": "w", "containerPath": "/d"}]),
        f"{C}.mountPoints",
        "must be the name of one of volumes",
        id="jd-mount-of-another",
    ),
    pytest.param(
        jdc(volumes=[{"name": "v"}], mountPoints=[{"sourceVolume": "v", "containerPath": "/d"}] * 2),
        f"{C}.mountPoints[1]",
        "Duplicate value",
        id="jd-mount-path-twice",
    ),
    pytest.param(
        jdc(volumes=[{"name": "v"}], mountPoints=[{"sourceVolume": "v", "containerPath": "d"}]),
        f"{C}.mountPoints[0].containerPath",
        "an absolute path",
        id="jd-mount-relative",
    ),
    pytest.param(jdc(volumes=[{"name": "V"}]), f"{C}.volumes[0].name", "lower case", id="jd-volume-name"),
    pytest.param(jdc(volumes=[{"name": "v"}] * 2), f"{C}.volumes[1]", "Duplicate value", id="jd-volume-twice"),
    pytest.param(
        jdc(volumes=[{"name": "v", "host": {}, "persistentVolumeClaim": {"claimName": "c"}}]),
        f"{C}.volumes[0]",
        "give at most one of host",
        id="jd-volume-of-two",
    ),
    pytest.param(
        jdc(volumes=[{"name": "v", "host": {"sourcePath": "/a/../b"}}]),
        f"{C}.volumes[0].host.sourcePath",
        "must not contain ..",
        id="jd-host-path-dots",
    ),
    pytest.param(
        jdc(volumes=[{"name": "v", "efsVolumeConfiguration": {"fileSystemId": "efs"}}]),
        f"{C}.volumes[0].efsVolumeConfiguration.fileSystemId",
        "the id of an EFS file system",
        id="jd-efs-id",
    ),
    pytest.param(
        jdc(volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "C_"}}]),
        f"{C}.volumes[0].persistentVolumeClaim.claimName",
        "the name of an object",
        id="jd-claim-name",
    ),
    pytest.param(jdc(user="root"), f"{C}.user", "in numbers such as 1000", id="jd-user-name"),
    pytest.param(jdc(user="1000:2147483648"), f"{C}.user", "at most 2147483647", id="jd-user-big"),
    pytest.param(jdc(jobRoleArn="arn:aws:s3:::bucket-of-mine"), f"{C}.jobRoleArn", "ARN of an IAM role", id="jd-role"),
    pytest.param(
        jdc(jobRoleArn="arn:aws:iam::123456789012:role/r", serviceAccountName="sa"),
        f"{C}.serviceAccountName",
        "must not be given with jobRoleArn",
        id="jd-role-and-account",
    ),
    pytest.param(
        jdc(ulimits=[{"name": "nofile", "hardLimit": 10, "softLimit": 20}]),
        f"{C}.ulimits[0].softLimit",
        "must not be above hardLimit",
        id="jd-soft-above-hard",
    ),
    pytest.param(
        jdc(ulimits=[{"name": "nofile", "hardLimit": 10, "softLimit": -1}]),
        f"{C}.ulimits[0].softLimit",
        "must not be above hardLimit",
        id="jd-soft-unlimited",
    ),
    pytest.param(
        jdc(linuxParameters={"sharedMemorySize": 0}), f"{C}.linuxParameters.sharedMemorySize", "1", id="jd-shm-0"
    ),
    pytest.param(
        jdc(linuxParameters={"devices": [{"hostPath": "/dev/x", "permissions": ["EXECUTE"]}]}),
        f"{C}.linuxParameters.devices[0].permissions[0]",
        "supported values",
        id="jd-device-permission",
    ),
]
