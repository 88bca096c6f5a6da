"""Which image an imageType stands for: by instance type, Kubernetes' version and what EKS publishes; and what a newer
one is for."""

from __future__ import annotations

from typing import Any

import pytest

from awsserver import Network
from batchwright.api.v1alpha1.computeresources import Ec2Configuration
from batchwright.api.v1alpha1.nodejoin import NodeJoin
from batchwright.capacity.ec2.catalogue import Catalogue
from batchwright.capacity.ec2.client import Aws, Clients
from batchwright.capacity.ec2.fleet import Ec2Fleet
from batchwright.capacity.ec2.images import KEPT_SECONDS, Images, accelerator, minor, parameter
from batchwright.capacity.ec2.templates import Templates, image_for
from batchwright.capacity.groups.autoscaling import auto_scaling_groups
from batchwright.capacity.port import Blueprint, InstanceType, Order
from batchwright.errors import CapacityError, Denied, Misconfigured, ProviderThrottled, ProviderUnavailable
from capacityparts import blueprint, kind
from groupparts import arrived, launch

AMAZON, BOTTLEROCKET = "/aws/service/eks/optimized-ami/1.33/", "/aws/service/bottlerocket/aws-k8s-1.33"
PLAIN, ARM, GPU = kind("m5.large").type, kind("m6g.large", architecture="arm64").type, kind("g5.xlarge", gpus=1).type
ARM_GPU, INFERENTIA = kind("g5g.xlarge", architecture="arm64", gpus=1).type, kind("inf2.xlarge").type
ARM_INFERENTIA = kind("trn9.xlarge", architecture="arm64").type
NODEADM = NodeJoin.model_validate(
    {
        "type": "EKS_NODEADM",
        "clusterName": "c",
        "apiServerEndpoint": "https://c.example",
        "certificateAuthority": "Y2E=",
        "serviceCidr": "10.0.0.0/16",
    }
)
BOOTSTRAP = NODEADM.model_copy(update={"type": "EKS_BOOTSTRAP_SH"})


@pytest.mark.parametrize(
    ("image_type", "of", "want"),
    [
        pytest.param("EKS_AL2023", PLAIN, f"{AMAZON}amazon-linux-2023/x86_64/standard", id="al2023"),
        pytest.param("EKS_AL2023", ARM, f"{AMAZON}amazon-linux-2023/arm64/standard", id="al2023 on arm"),
        pytest.param("EKS_AL2023", GPU, f"{AMAZON}amazon-linux-2023/x86_64/nvidia", id="al2023 with gpus"),
        pytest.param("EKS_AL2023", INFERENTIA, f"{AMAZON}amazon-linux-2023/x86_64/neuron", id="al2023 with inferentia"),
        pytest.param("EKS_AL2023_NVIDIA", PLAIN, f"{AMAZON}amazon-linux-2023/x86_64/nvidia", id="nvidia without gpus"),
        pytest.param("EKS_AL2023_NVIDIA", ARM_GPU, f"{AMAZON}amazon-linux-2023/arm64/nvidia", id="nvidia on arm"),
        pytest.param("EKS_AL2023_NEURON", PLAIN, f"{AMAZON}amazon-linux-2023/x86_64/neuron", id="neuron"),
        pytest.param("EKS_AL2", PLAIN, f"{AMAZON}amazon-linux-2", id="al2"),
        pytest.param("EKS_AL2", ARM, f"{AMAZON}amazon-linux-2-arm64", id="al2 on arm"),
        pytest.param("EKS_AL2", GPU, f"{AMAZON}amazon-linux-2-gpu", id="al2 with gpus"),
        pytest.param("EKS_AL2_NVIDIA", PLAIN, f"{AMAZON}amazon-linux-2-gpu", id="al2 nvidia"),
        pytest.param("EKS_AL2_NEURON", INFERENTIA, f"{AMAZON}amazon-linux-2-gpu", id="al2 neuron"),
        pytest.param("EKS_BOTTLEROCKET", PLAIN, f"{BOTTLEROCKET}/x86_64", id="bottlerocket"),
        pytest.param("EKS_BOTTLEROCKET", ARM, f"{BOTTLEROCKET}/arm64", id="bottlerocket on arm"),
        pytest.param("EKS_BOTTLEROCKET", INFERENTIA, f"{BOTTLEROCKET}/x86_64", id="bottlerocket with inferentia"),
        pytest.param("EKS_BOTTLEROCKET_NVIDIA", ARM_GPU, f"{BOTTLEROCKET}-nvidia/arm64", id="bottlerocket nvidia"),
    ],
)
def test_the_parameter_of_an_image(image_type: str, of: InstanceType, want: str) -> None:
    last = "latest" if want.startswith(BOTTLEROCKET) else "recommended"
    assert parameter(image_type, "1.33", of) == f"{want}/{last}/image_id"


@pytest.mark.parametrize(
    ("image_type", "of", "want"),
    [
        pytest.param("ECS_AL2023", PLAIN, "ImageType", id="ecs"),
        pytest.param("EKS_BOTTLEROCKET_NEURON", PLAIN, "ImageType", id="bottlerocket neuron"),
        pytest.param("NVIDIA", GPU, "ImageType", id="a variant of nothing"),
        pytest.param("EKS_AL2_NVIDIA", ARM, "ImageArchitecture", id="al2 nvidia on arm"),
        pytest.param("EKS_AL2023", ARM_INFERENTIA, "ImageArchitecture", id="neuron on arm"),
    ],
)
def test_an_image_that_eks_has_not(image_type: str, of: InstanceType, want: str) -> None:
    with pytest.raises(Misconfigured, match=image_type) as refused:
        parameter(image_type, "1.33", of)
    assert refused.value.code == want


@pytest.mark.parametrize(
    ("told", "want"),
    [
        pytest.param("v1.33.4-eks-1234567", "1.33", id="eks"),
        pytest.param("v1.37.0", "1.37", id="plain"),
        pytest.param("v1.33+", "1.33", id="a distribution's"),
    ],
)
def test_the_minor_version(told: str, want: str) -> None:
    assert minor(told) == want


def test_a_version_that_is_none() -> None:
    with pytest.raises(ProviderUnavailable, match="something"):
        minor("something")


@pytest.mark.parametrize(
    ("entries", "of", "want"),
    [
        pytest.param({"EKS_AL2023": "ami-1", "EKS_AL2023_NVIDIA": "ami-2"}, PLAIN, "ami-1", id="plain"),
        pytest.param({"EKS_AL2023": "ami-1", "EKS_AL2023_NVIDIA": "ami-2"}, GPU, "ami-2", id="gpus"),
        pytest.param({"EKS_AL2023_NVIDIA": "ami-2"}, PLAIN, "ami-2", id="there is but one for gpus"),
        pytest.param({"EKS_AL2023": "ami-1"}, GPU, "ami-1", id="there is none for gpus"),
        pytest.param({"EKS_AL2023": "ami-1", "EKS_AL2023_NEURON": "ami-3"}, INFERENTIA, "ami-3", id="inferentia"),
        pytest.param({"EKS_AL2023_NEURON": "ami-3", "EKS_AL2023": "ami-1"}, GPU, "ami-1", id="neuron is not for gpus"),
        pytest.param({"EKS_AL2023": None}, PLAIN, "ami-0", id="imageId goes before imageType"),
        pytest.param({"EKS_AL2023": None, "EKS_AL2023_NVIDIA": "ami-2"}, PLAIN, "ami-0", id="another's override"),
        pytest.param({}, PLAIN, "ami-0", id="imageId alone"),
    ],
)
def test_an_image_that_is_given(entries: dict[str, str | None], of: InstanceType, want: str) -> None:
    listed = [{"imageType": key, "imageIdOverride": value} for key, value in entries.items()]
    assert image_for(blueprint(ec2Configuration=listed, imageId="ami-0"), of) == want


def test_accelerators_of_types() -> None:
    assert [accelerator(each) for each in (PLAIN, GPU, INFERENTIA)] == ["", "NVIDIA", "NEURON"]


class Ssm(Aws):
    """Parameters as AWS tells them; a name that is none of them is refused."""

    def __init__(self, **images: str) -> None:
        super().__init__("ssm", "us-east-1")
        self.images, self.asked = images, list[str]()
        self.error: CapacityError | None = None

    async def call(self, operation: str, *, uncertain: bool = False, **parameters: Any) -> dict[str, Any]:
        assert operation == "get_parameter"
        self.asked.append(parameters["Name"])
        if self.error is not None:
            raise self.error
        found = next((image for part, image in self.images.items() if part in parameters["Name"]), None)
        if found is None:
            raise Misconfigured("", "ParameterNotFound")
        return {"Parameter": {"Value": found}}


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def version() -> str:
    return "v1.33.4-eks-1234567"


def entry(image_type: str = "EKS_AL2023", of: str | None = None) -> Ec2Configuration:
    return Ec2Configuration(image_type=image_type, image_kubernetes_version=of)


async def test_the_clusters_own_version_is_the_default() -> None:
    ssm = Ssm(image_id="ami-1")
    images = Images(ssm, version)
    assert await images.newest(entry(), PLAIN) == "ami-1"
    assert await images.newest(entry(of="1.32"), PLAIN) == "ami-1"
    assert ["/1.33/" in ssm.asked[0], "/1.32/" in ssm.asked[1]] == [True, True]


async def test_a_version_that_is_newer_than_the_cluster_is_refused() -> None:
    ssm = Ssm(image_id="ami-1")
    with pytest.raises(Misconfigured, match=r"imageKubernetesVersion 1\.34 is newer than the cluster's 1\.33"):
        await Images(ssm, version).newest(entry(of="1.34"), PLAIN)
    assert ssm.asked == []


async def test_what_is_known_is_asked_again_after_an_hour() -> None:
    ssm, clock = Ssm(image_id="ami-1"), Clock()
    images = Images(ssm, version, clock)
    for name in ("m5.large", "c5.large", "m5.large"):
        assert await images.newest(entry(), kind(name).type) == "ami-1"
    assert len(ssm.asked) == 1
    ssm.images = {"image_id": "ami-2"}
    clock.now += KEPT_SECONDS - 1
    assert await images.newest(entry(), PLAIN) == "ami-1"
    clock.now += 1
    assert await images.newest(entry(), PLAIN) == "ami-2"


@pytest.mark.parametrize(
    ("error", "want"),
    [
        pytest.param(ProviderThrottled("slow down", "ThrottlingException"), "ami-1", id="asked too often"),
        pytest.param(ProviderUnavailable("", "EndpointConnectionError"), "ami-1", id="out of reach"),
        pytest.param(Denied("", "AccessDeniedException"), Denied, id="denied"),
        pytest.param(Misconfigured("", "ParameterNotFound"), Misconfigured, id="gone"),
    ],
)
async def test_while_nobody_answers_the_last_one_is_good(error: CapacityError, want: Any) -> None:
    ssm, clock = Ssm(image_id="ami-1"), Clock()
    images = Images(ssm, version, clock)
    await images.newest(entry(), PLAIN)
    ssm.error = error
    clock.now += KEPT_SECONDS
    if isinstance(want, str):
        assert await images.newest(entry(), PLAIN) == want
    else:
        with pytest.raises(want):
            await images.newest(entry(), PLAIN)
    with pytest.raises(type(error)):
        await images.newest(entry("EKS_AL2"), PLAIN)


async def test_without_the_right_the_right_and_the_other_way_are_named() -> None:
    ssm = Ssm()
    ssm.error = Denied("User: x is not authorized", "AccessDeniedException")
    with pytest.raises(Denied, match=r"imageType EKS_AL2023 needs ssm:GetParameter.*imageIdOverride") as refused:
        await Images(ssm, version).newest(entry(), PLAIN)
    assert refused.value.code == "AccessDeniedException"


async def test_an_image_that_is_not_published_is_said_with_the_way_out() -> None:
    text = r"imageType EKS_AL2, Kubernetes 1\.33 and amd64.*imageIdOverride"
    with pytest.raises(Misconfigured, match=text) as refused:
        await Images(Ssm(), version).newest(entry("EKS_AL2"), PLAIN)
    assert refused.value.code == "ParameterNotFound"


class Told(Aws):
    """EC2 that has one launch template."""

    def __init__(self, data: dict[str, Any]) -> None:
        super().__init__("ec2", "us-east-1")
        self.data = data

    async def call(self, operation: str, *, uncertain: bool = False, **parameters: Any) -> dict[str, Any]:
        return {"LaunchTemplateVersions": [{"LaunchTemplateData": self.data}]}


OWN = {"launchTemplate": {"launchTemplateName": "own"}}
AL2023 = {"ec2Configuration": [{"imageType": "EKS_AL2023"}]}


@pytest.mark.parametrize(
    ("data", "resources", "join", "want"),
    [
        pytest.param({}, AL2023, NODEADM, "ami-2023", id="imageType"),
        pytest.param({}, {**AL2023, "imageId": "ami-0"}, NODEADM, "ami-0", id="imageId goes before it"),
        pytest.param({"ImageId": "ami-own"}, {**AL2023, **OWN}, NODEADM, "ami-own", id="a template does"),
        pytest.param({"KeyName": "k"}, {**AL2023, **OWN}, NODEADM, "ami-2023", id="a template that names none"),
        pytest.param({}, {}, NODEADM, "ami-2023", id="nothing said, and joined as EKS's nodes are"),
        pytest.param({}, {}, None, "MissingImage", id="nothing said"),
        pytest.param({}, {}, BOOTSTRAP, "MissingImage", id="nothing said, and bootstrap.sh"),
        pytest.param({}, AL2023, BOOTSTRAP, "ImageUserData", id="it has no bootstrap.sh"),
        pytest.param(
            {}, {"ec2Configuration": [{"imageType": "EKS_AL2"}]}, BOOTSTRAP, "ami-2", id="one that has bootstrap.sh"
        ),
        pytest.param(
            {}, {"ec2Configuration": [{"imageType": "EKS_AL2"}]}, NODEADM, "ImageUserData", id="it has no nodeadm"
        ),
        pytest.param(
            {},
            {"ec2Configuration": [{"imageType": "EKS_BOTTLEROCKET"}]},
            NODEADM,
            "ImageUserData",
            id="it is told otherwise",
        ),
        pytest.param(
            {"KeyName": "k"},
            {**AL2023, "launchTemplate": {"launchTemplateName": "own", "userdataType": "EKS_NODEADM"}},
            BOOTSTRAP,
            "ami-2023",
            id="the template says nodeadm",
        ),
    ],
)
async def test_the_image_in_a_template(
    data: dict[str, Any], resources: dict[str, Any], join: NodeJoin | None, want: str
) -> None:
    images = Images(
        Ssm(**{"amazon-linux-2023": "ami-2023", "amazon-linux-2": "ami-2", "bottlerocket": "ami-b"}), version
    )
    templates = Templates(Told(data), "c", images)
    made = blueprint(join=join, **resources)
    if want.startswith("ami-"):
        assert (await templates.content(made, PLAIN))["ImageId"] == want
    else:
        with pytest.raises(Misconfigured) as refused:
            await templates.content(made, PLAIN)
        assert refused.value.code == want


# Against a moto server.


def environment(network: Network, image_type: str = "EKS_AL2023", **resources: object) -> Blueprint:
    found = {"subnets": network.subnets[:1], "ec2Configuration": [{"imageType": image_type}]}
    return blueprint(**{"instanceTypes": ["m5.large"], **found, **resources})


def shown(network: Network, *ids: str) -> set[str]:
    """The images of these instances."""
    found = network.client().describe_instances(InstanceIds=ids)["Reservations"]
    return {each["ImageId"] for reservation in found for each in reservation["Instances"]}


async def test_a_fleet_starts_what_eks_publishes_for_each_architecture(network: Network, catalogue: Catalogue) -> None:
    fleet = Ec2Fleet("published", catalogue=catalogue, images=Images(Aws("ssm"), version))
    made = environment(network, instanceTypes=["m5.large", "m6g.large"])
    kinds = await fleet.kinds(made)
    assert {each.type.architecture for each in kinds} == {"amd64", "arm64"}
    for each in kinds:
        (instance,) = (await fleet.launch(made, Order(f"published/{each.type.name}", 1, (each,)))).instances
        want = network.arm_image if each.type.architecture == "arm64" else network.image
        architectures = network.client().describe_images(ImageIds=[*shown(network, instance.id), want])["Images"]
        assert len({found["Architecture"] for found in architectures}) == 1


async def test_types_that_eks_has_no_image_for_are_left_out(network: Network, catalogue: Catalogue) -> None:
    fleet = Ec2Fleet("leftout", catalogue=catalogue, images=Images(Aws("ssm"), version))
    made = environment(network, "EKS_AL2_NVIDIA", instanceTypes=["m5.large", "m6g.large"])
    assert {each.type.name for each in await fleet.kinds(made)} == {"m5.large"}


@pytest.mark.parametrize(
    "is_given", [pytest.param(True, id="an image of another architecture"), pytest.param(False, id="an imageType")]
)
async def test_when_no_type_has_an_image_that_is_said(network: Network, catalogue: Catalogue, is_given: bool) -> None:
    fleet = Ec2Fleet("none", catalogue=catalogue, images=Images(Aws("ssm"), version))
    given = {"ec2Configuration": [], "imageId": network.image} if is_given else {}
    with pytest.raises(Misconfigured, match=r"computeResources\.instanceTypes") as refused:
        await fleet.kinds(environment(network, "EKS_AL2_NVIDIA", instanceTypes=["m6g"], **given))
    assert refused.value.code == "ImageArchitecture"


@pytest.mark.parametrize(
    ("configuration", "want"),
    [
        pytest.param({"imageType": "ECS_AL2023"}, "ImageType", id="imageType"),
        pytest.param(
            {"imageType": "EKS_AL2023", "imageKubernetesVersion": "1.12"}, "ParameterNotFound", id="a version of old"
        ),
        pytest.param(
            {"imageType": "EKS_AL2023", "imageKubernetesVersion": "1.34"}, "ImageKubernetesVersion", id="too new"
        ),
    ],
)
async def test_what_eks_has_not_is_said_before_anything_is_launched(
    network: Network, catalogue: Catalogue, configuration: dict[str, str], want: str
) -> None:
    fleet = Ec2Fleet("refused", catalogue=catalogue, images=Images(Aws("ssm"), version))
    with pytest.raises(Misconfigured) as refused:
        await fleet.kinds(environment(network, ec2Configuration=[configuration]))
    assert refused.value.code == want


class Published(Images):
    """What is newest is what the test says."""

    def __init__(self, image: str) -> None:
        super().__init__(Ssm(), version)
        self.image = image

    async def newest(self, entry: Ec2Configuration, of: InstanceType) -> str:
        return self.image


def two_images(network: Network) -> tuple[str, str]:
    found = network.client().describe_images(Owners=["amazon"])["Images"]
    first, second, *_ = sorted({each["ImageId"] for each in found if each["Architecture"] == "x86_64"})
    return first, second


async def test_a_newer_image_is_for_what_is_launched_from_then_on(network: Network, catalogue: Catalogue) -> None:
    before, after = two_images(network)
    images, made = Published(before), environment(network)
    fleet = Ec2Fleet("newer", catalogue=catalogue, images=images)
    (old,) = (await fleet.launch(made, Order("newer/1", 1, await fleet.kinds(made)))).instances
    images.image = after
    (new,) = (await fleet.launch(made, Order("newer/2", 1, await fleet.kinds(made)))).instances
    assert [shown(network, old.id), shown(network, new.id)] == [{before}, {after}]
    # By the digest instances are told from those that an update replaces.
    assert {each.digest for each in await fleet.describe()} == {made.digest}


async def test_so_it_is_with_groups_of_ours(network: Network, catalogue: Catalogue) -> None:
    before, after = two_images(network)
    images, made = Published(before), environment(network)
    groups = auto_scaling_groups("newer-groups", Clients(), catalogue, images=images)
    await launch(groups, made, 1, "t1")
    (old,) = await arrived(groups, 1)
    images.image = after
    await launch(groups, made, 1, "t2")
    both = await arrived(groups, 2)
    (new,) = set(both) - {old}
    assert [shown(network, old), shown(network, new)] == [{before}, {after}]
    assert {each.group for each in await groups.describe()} == {next(iter(await groups.describe())).group}


async def test_a_group_with_an_image_that_is_given_keeps_its_template(network: Network, catalogue: Catalogue) -> None:
    groups = auto_scaling_groups("kept-groups", Clients(), catalogue, images=Published("ami-nobody"))
    made = environment(network, ec2Configuration=[], imageId=network.image)
    await launch(groups, made, 1, "t1")
    (instance,) = await arrived(groups, 1)
    assert shown(network, instance) == {network.image}


def test_another_version_is_another_digest_and_none_is_the_one_of_before() -> None:
    made = blueprint(ec2Configuration=[{"imageType": "EKS_AL2023"}])
    other = blueprint(ec2Configuration=[{"imageType": "EKS_AL2023", "imageKubernetesVersion": "1.33"}])
    assert made.digest != other.digest
    assert made.resources.to_wire()["ec2Configuration"] == [{"imageType": "EKS_AL2023"}]
