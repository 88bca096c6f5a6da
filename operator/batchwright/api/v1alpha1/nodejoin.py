"""How instances of a MANAGED ComputeEnvironment become nodes of the cluster. AWS Batch has one way; here are four."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from batchwright.api.v1alpha1.common import Model
from batchwright.api.v1alpha1.validation import Rule, rules

Short = Annotated[str, StringConstraints(min_length=1, max_length=512)]


class NodeJoin(Model):
    """What instances are told at their start."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "self.type != 'EKS_NODEADM' || (has(self.clusterName) && has(self.apiServerEndpoint) "
                "&& has(self.certificateAuthority) && has(self.serviceCidr))",
                "EKS_NODEADM needs clusterName, apiServerEndpoint, certificateAuthority and serviceCidr",
            ),
            Rule(
                "self.type != 'EKS_BOOTSTRAP_SH' || (has(self.clusterName) && has(self.apiServerEndpoint) "
                "&& has(self.certificateAuthority))",
                "EKS_BOOTSTRAP_SH needs clusterName, apiServerEndpoint and certificateAuthority",
            ),
            Rule(
                "(self.type == 'USER_DATA') == has(self.userData)",
                "userData is for type USER_DATA, which needs it",
                field_path=".userData",
            ),
        )
    )

    type: Literal["EKS_NODEADM", "EKS_BOOTSTRAP_SH", "USER_DATA", "LAUNCH_TEMPLATE"] = Field(
        description="type EKS_NODEADM: user data for EKS images (Amazon Linux 2023 and newer). EKS_BOOTSTRAP_SH: for "
        "images with /etc/eks/bootstrap.sh (Amazon Linux 2, Ubuntu). USER_DATA: yours, such "
        "as a script around kubeadm join. LAUNCH_TEMPLATE: that of computeResources.launchTemplate."
    )
    cluster_name: Short | None = Field(default=None, description="clusterName of the EKS cluster.")
    api_server_endpoint: Short | None = Field(default=None, description="apiServerEndpoint of the EKS cluster.")
    certificate_authority: Annotated[str, StringConstraints(min_length=1, max_length=16384)] | None = Field(
        default=None, description="certificateAuthority of the EKS cluster, base64 as `aws eks describe-cluster` says."
    )
    service_cidr: Short | None = Field(default=None, description="serviceCidr of the EKS cluster.")
    # EC2 takes 16 KiB of user data.
    user_data: Annotated[str, StringConstraints(min_length=1, max_length=12288)] | None = Field(
        default=None,
        description="userData in which @LABELS@ and @TAINTS@ are replaced by what kubelet's --node-labels and "
        "--register-with-taints take.",
    )
