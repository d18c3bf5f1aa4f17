"""Where the API runs with `PLATFORM=hosts`: a network, EC2 hosts that are found by their tags, and what they may do."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from aws_cdk import App, Tags
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs

from cdk.alarms import watch
from cdk.network import Network, rule
from soundbite.environment import naming

from . import rights
from .base import EnvironmentStack

if TYPE_CHECKING:
    from cdk.outputs import Outputs
    from cdk.settings import Settings

_IMAGE = "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id"
_FIRST_BOOT = Path(__file__).parents[1] / "first_boot.py"
_USER_DATA = """#!/bin/sh
set -eu
cat >/usr/local/lib/first_boot.py <<'END'
@FIRST_BOOT@END
cat >/etc/systemd/system/first-boot.service <<'END'
[Unit]
Description=Brings this host what serves, until its agent does
ConditionPathExistsGlob=!/var/lib/*/agent.pyz
After=docker.service network-online.target
Wants=network-online.target
Requires=docker.service

[Service]
Type=oneshot
ExecStart=/usr/bin/python3 /usr/local/lib/first_boot.py @TABLE@ @REGION@
Restart=on-failure
RestartSec=30

[Install]
WantedBy=multi-user.target
END
export DEBIAN_FRONTEND=noninteractive
packages="docker.io docker-compose-v2 python3 python3-boto3"
apt-get -q -o DPkg::Lock::Timeout=300 update
apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends $packages
systemctl enable --now docker
systemctl enable first-boot
systemctl start --no-block first-boot
"""
_ROOT_VOLUME = {"volumeType": "gp3", "volumeSize": 30, "encrypted": True, "deleteOnTermination": True}
_HOST = {
    # EC2 looks the parameter up whenever it starts a host from this. CloudFormation sees only these words, so a newer
    # image is for new hosts and replaces none that run, as it would if the stack had the parameter's value.
    "imageId": f"resolve:ssm:{_IMAGE}",
    "blockDeviceMappings": [{"deviceName": "/dev/sda1", "ebs": _ROOT_VOLUME}],
    # Two hops: a container asks for the role's credentials from behind the engine's bridge.
    "metadataOptions": {"httpEndpoint": "enabled", "httpTokens": "required", "httpPutResponseHopLimit": 2},
}
"""What all hosts have in common, beside user data. Who changes either replaces them all, and `inv cdk.diff` says so."""


class Api(EnvironmentStack):
    """The network and the hosts of the API."""

    def __init__(
        self,
        app: App,
        settings: Settings,
        outputs: Outputs,
        *,
        table: dynamodb.ITable,
        bucket: s3.IBucket,
        queue: sqs.IQueue,
        images: ecr.IRepository,
    ) -> None:
        super().__init__(app, settings, outputs)
        network = Network(self, "Network")
        security_group = self._security_group(network)
        role = self._role(table, bucket, queue, images)
        self._hosts(network, security_group, role)
        self.give("VpcId", network.vpc_id, "The network of the hosts")
        self.give("SecurityGroupId", security_group.attr_group_id, "What the hosts may be asked")
        self.give("InstanceRoleArn", role.role_arn, "What the hosts may do")

    def _security_group(self, network: Network) -> ec2.CfnSecurityGroup:
        # Rules inside the group: the emulator has no resources of their own for them.
        return ec2.CfnSecurityGroup(
            self,
            "HostRules",
            vpc_id=network.vpc_id,
            group_description="In: the port of the application. No SSH: Session Manager is the way in.",
            security_group_ingress=[rule("tcp", self.settings.hosts.http_port)],
            security_group_egress=[rule("-1")],
        )

    def _role(self, table: dynamodb.ITable, bucket: s3.IBucket, queue: sqs.IQueue, images: ecr.IRepository) -> iam.Role:
        statements = [
            *rights.of_application(table, bucket, queue),
            *rights.to_pull(images),
            *rights.to_read(self, self.settings.secrets, of_ssm="ssm:GetParameter"),
            self._to_join(),
            self._other_parameters(),
        ]
        return iam.Role(
            self,
            "HostRole",
            assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"),
            managed_policies=[iam.ManagedPolicy.from_aws_managed_policy_name("AmazonSSMManagedInstanceCore")],
            inline_policies={"Host": iam.PolicyDocument(statements=statements)},
        )

    def _to_join(self) -> iam.PolicyStatement:
        """Let a host look up what should serve, so that a new one needs nobody."""
        table = naming.ledger(self.settings.project, self.settings.environment)
        return iam.PolicyStatement(
            actions=["dynamodb:GetItem"],
            resources=[self.format_arn(service="dynamodb", resource="table", resource_name=table)],
            conditions={"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["environment", "lock", "operation"]}},
        )

    def _other_parameters(self) -> iam.PolicyStatement:
        # AmazonSSMManagedInstanceCore lets a host read every parameter of the account, other environments' too.
        # Session Manager does without.
        own = [rights.parameter(self, each) for each in self.settings.secrets if each.kind == "ssm"]
        return iam.PolicyStatement(
            effect=iam.Effect.DENY,
            actions=["ssm:GetParameter", "ssm:GetParameters"],
            resources=None if own else ["*"],
            not_resources=own or None,
        )

    def _user_data(self) -> str:
        given = {
            "FIRST_BOOT": _FIRST_BOOT.read_text(encoding="utf-8"),
            "TABLE": naming.ledger(self.settings.project, self.settings.environment),
            "REGION": self.settings.region,
        }
        text = _USER_DATA
        for name, value in given.items():
            text = text.replace(f"@{name}@", value)
        return text

    def _hosts(self, network: Network, security_group: ec2.CfnSecurityGroup, role: iam.Role) -> None:
        settings = self.settings
        profile = iam.CfnInstanceProfile(self, "HostProfile", roles=[role.role_name])
        # Named by its content, so that hosts are replaced when that changes, and not when the template's tags do.
        data = {**_HOST, "userData": base64.b64encode(self._user_data().encode()).decode()}
        digest = hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:8]
        template = ec2.CfnLaunchTemplate(
            self,
            f"HostTemplate{digest}",
            launch_template_data=data,
            tag_specifications=[
                {
                    "resourceType": "launch-template",
                    "tags": [{"key": key, "value": value} for key, value in settings.tags.items()],
                }
            ],
        )
        for number in range(1, settings.hosts.count + 1):
            subnet, awaited = network.place(number)
            host = ec2.CfnInstance(
                self,
                f"Host{number}",
                launch_template={"launchTemplateId": template.ref, "version": "1"},
                instance_type=settings.hosts.instance_type,
                iam_instance_profile=profile.ref,
                security_group_ids=[security_group.attr_group_id],
                subnet_id=subnet,
                propagate_tags_to_volume_on_creation=True,
            )
            # What the first start cannot download, no later start does.
            for each in awaited:
                host.add_resource_dependency(each)
            Tags.of(host).add("Role", "api")
            Tags.of(host).add("Name", f"{settings.project}-{settings.environment}-api-{number}")
            watch(
                self,
                f"Host{number}Status",
                "AWS/EC2",
                "StatusCheckFailed",
                {"InstanceId": host.ref},
                f"host {number} fails its status checks",
                statistic="Maximum",
                minutes=2,
                missing=cloudwatch.TreatMissingData.BREACHING,
            )
