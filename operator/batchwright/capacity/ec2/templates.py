"""Launch templates named after their content: made when first needed, and never changed.

computeResources goes before what a template of one's own says (AWS Batch API, launchTemplate). A template that somebody
deleted is made anew: `forget` it, and ask again.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping

import orjson

from batchwright import names
from batchwright.api.v1alpha1.computeresources import LaunchTemplate, LaunchTemplateOverride
from batchwright.capacity.ec2.client import JSON, Aws, taken
from batchwright.capacity.ec2.images import Images, check_join, default_for, entry_for
from batchwright.capacity.ec2.userdata import told, user_data
from batchwright.capacity.port import Blueprint, InstanceType
from batchwright.capacity.types import family
from batchwright.errors import Misconfigured

Key = tuple[str | None, str | None, str | None]


class Templates:
    """Our launch templates in one region. `cluster` is the id that everything of ours is tagged with; without `images`
    an imageType chooses none."""

    def __init__(self, aws: Aws, cluster: str, images: Images | None = None) -> None:
        self._aws, self._cluster, self._images = aws, cluster, images
        self._made: set[str] = set()
        # What templates of one's own say, for each environment as it is made now: $Latest is read anew after an update.
        self._bases: dict[str, tuple[str, dict[Key, JSON]]] = {}

    async def content(self, blueprint: Blueprint, of: InstanceType, *, needs_image: bool = True) -> JSON:
        """LaunchTemplateData: what a template of one's own says, and over it what computeResources does."""
        found = blueprint.resources
        chosen = template_for(blueprint.resources.launch_template, of.name)
        base = await self._base(blueprint, chosen)
        own: JSON = {"MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2}}
        image = image_for(blueprint, of)
        if image:
            own["ImageId"] = image
        if found.ec2_key_pair:
            own["KeyName"] = found.ec2_key_pair
        if found.instance_role:
            key = "Arn" if found.instance_role.startswith("arn:") else "Name"
            own["IamInstanceProfile"] = {key: found.instance_role}
        if found.placement_group:
            own["Placement"] = {"GroupName": found.placement_group}
        text = user_data(blueprint, chosen.userdata_type if chosen is not None else None)
        if text is not None:
            own["UserData"] = base64.b64encode(text.encode()).decode()
        # Somebody's own metadata options stay: an image may need the older way.
        merged = own | base | {key: value for key, value in own.items() if key != "MetadataOptions"}
        if found.security_group_ids:
            merged = with_groups(merged, found.security_group_ids)
        if found.subnets and merged.get("NetworkInterfaces"):
            # An interface would be bound to its own.
            merged["NetworkInterfaces"] = [
                {key: value for key, value in each.items() if key != "SubnetId"} for each in merged["NetworkInterfaces"]
            ]
        if needs_image and "ImageId" not in merged:
            merged["ImageId"] = await self._newest(blueprint, of, chosen)
        return merged

    async def newest(self, blueprint: Blueprint, of: InstanceType) -> str | None:
        """The image that the imageType chooses for this type; None where computeResources or the launch template give
        another. Raises CapacityError."""
        chosen = template_for(blueprint.resources.launch_template, of.name)
        if image_for(blueprint, of) or "ImageId" in await self._base(blueprint, chosen):
            return None
        return await self._newest(blueprint, of, chosen)

    async def _newest(
        self, blueprint: Blueprint, of: InstanceType, chosen: LaunchTemplate | LaunchTemplateOverride | None
    ) -> str:
        """The image of the imageType. It is in no digest of a blueprint: a newer one replaces no instance."""
        entry = entry_for(blueprint, of) or default_for(blueprint)
        if entry is None or self._images is None:
            raise Misconfigured(
                "No image: give computeResources.ec2Configuration with imageType or imageIdOverride, imageId, or a "
                "launchTemplate with one",
                "MissingImage",
            )
        check_join(entry, told(blueprint, chosen.userdata_type if chosen is not None else None))
        return await self._images.newest(entry, of)

    async def _base(self, blueprint: Blueprint, chosen: LaunchTemplate | LaunchTemplateOverride | None) -> JSON:
        if chosen is None:
            return {}
        key = chosen.launch_template_id, chosen.launch_template_name, chosen.version
        digest, bases = self._bases.get(blueprint.uid, ("", {}))
        if digest != blueprint.digest:
            bases = {}
            self._bases[blueprint.uid] = blueprint.digest, bases
        known = bases.get(key)
        if known is None:
            which = (
                {"LaunchTemplateId": chosen.launch_template_id}
                if chosen.launch_template_id
                else {"LaunchTemplateName": chosen.launch_template_name}
            )
            answer = await self._aws.call(
                "describe_launch_template_versions", **which, Versions=[chosen.version or "$Default"]
            )
            versions = answer["LaunchTemplateVersions"]
            if not versions:
                raise Misconfigured(f"launchTemplate {key[0] or key[1]} has no version {key[2]}", "LaunchTemplate")
            known = bases[key] = taken(
                await self._aws.shape("CreateLaunchTemplate", "LaunchTemplateData"), versions[0]["LaunchTemplateData"]
            )
        return known

    async def make(self, content: JSON) -> str:
        """The name of the template with this content. Raises CapacityError."""
        digest = hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()[:20]
        name = f"batchwright-{digest}"
        if name in self._made:
            return name
        tags = [{"Key": names.TAG_CLUSTER, "Value": self._cluster}]
        try:
            await self._aws.call(
                "create_launch_template",
                LaunchTemplateName=name,
                LaunchTemplateData=content,
                TagSpecifications=[{"ResourceType": "launch-template", "Tags": tags}],
            )
        except Misconfigured as error:
            if error.code != "InvalidLaunchTemplateName.AlreadyExistsException":
                raise
        self._made.add(name)
        return name

    def forget(self) -> None:
        """Somebody has deleted one: what is there has to be found out anew."""
        self._made.clear()
        self._bases.clear()


def with_groups(content: JSON, groups: Iterable[str]) -> JSON:
    """The content with these security groups in place of others. EC2 takes them in one place only: at the interfaces,
    where the template has any."""
    rest = {key: value for key, value in content.items() if key not in ("SecurityGroups", "SecurityGroupIds")}
    if not content.get("NetworkInterfaces"):
        return {**rest, "SecurityGroupIds": list(groups)}
    interfaces = [
        # One that exists already has its own.
        each if "NetworkInterfaceId" in each else {**each, "Groups": list(groups)}
        for each in content["NetworkInterfaces"]
    ]
    return {**rest, "NetworkInterfaces": interfaces}


def with_tags(content: JSON, resource: str, tags: Mapping[str, str]) -> JSON:
    """The content, which tags such resources so besides what it says of them."""
    listed = content.get("TagSpecifications", [])
    theirs = {tag["Key"]: tag["Value"] for each in listed if each["ResourceType"] == resource for tag in each["Tags"]}
    ours = {"ResourceType": resource, "Tags": [{"Key": k, "Value": v} for k, v in sorted({**theirs, **tags}.items())]}
    return {**content, "TagSpecifications": [*(each for each in listed if each["ResourceType"] != resource), ours]}


def template_for(own: LaunchTemplate | None, name: str) -> LaunchTemplate | LaunchTemplateOverride | None:
    """The template of one's own that is for this type."""
    for override in own.overrides if own else ():
        if name in override.target_instance_types or family(name) in override.target_instance_types:
            return override
    return own


def image_for(blueprint: Blueprint, of: InstanceType) -> str | None:
    """The image that is given for this type: ec2Configuration goes before imageId. None where the launch template or
    the imageType chooses."""
    entry = entry_for(blueprint, of)
    return (entry.image_id_override if entry is not None else None) or blueprint.resources.image_id
