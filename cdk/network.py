"""The network of what runs: two public subnets, each in a zone of its own, and the way out."""

from __future__ import annotations

from aws_cdk import Aws
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

CIDR = "10.0.0.0/16"
"""All addresses of a network."""


class Network(Construct):
    """A network whose subnets reach the internet without a NAT gateway, which would cost more than what runs here.

    Of single resources: the library's own `Vpc` asks AWS during synth for zones, and no two assemblies of it are the
    same bytes.
    """

    def __init__(self, scope: Construct, name: str) -> None:
        super().__init__(scope, name)
        vpc = ec2.CfnVPC(self, "Vpc", cidr_block=CIDR, enable_dns_support=True, enable_dns_hostnames=True)
        self.vpc_id = vpc.ref
        gateway = ec2.CfnInternetGateway(self, "Gateway")
        attached = ec2.CfnVPCGatewayAttachment(self, "Attachment", vpc_id=vpc.ref, internet_gateway_id=gateway.ref)
        routes = ec2.CfnRouteTable(self, "Routes", vpc_id=vpc.ref)
        self._way_out = ec2.CfnRoute(
            self, "WayOut", route_table_id=routes.ref, destination_cidr_block="0.0.0.0/0", gateway_id=gateway.ref
        )
        self._way_out.add_resource_dependency(attached)
        self._subnets = [self._subnet(vpc, routes, number, zone) for number, zone in enumerate("ab")]
        for service in ("s3", "dynamodb"):
            ec2.CfnVPCEndpoint(
                self,
                f"To-{service}",
                vpc_id=vpc.ref,
                vpc_endpoint_type="Gateway",
                service_name=f"com.amazonaws.{Aws.REGION}.{service}",
                route_table_ids=[routes.ref],
            )

    @property
    def subnet_ids(self) -> list[str]:
        """The subnets, in the order of their zones."""
        return [subnet.ref for subnet, _ in self._subnets]

    @property
    def ways_out(self) -> list[ec2.CfnRoute | ec2.CfnSubnetRouteTableAssociation]:
        """What has to be there before the internet reaches any of the subnets."""
        return [self._way_out, *(association for _, association in self._subnets)]

    def place(self, number: int) -> tuple[str, list[ec2.CfnRoute | ec2.CfnSubnetRouteTableAssociation]]:
        """Return the subnet for the host of that number, and what has to be there before the internet is reached."""
        subnet, association = self._subnets[number % len(self._subnets)]
        return subnet.ref, [self._way_out, association]

    def _subnet(
        self, vpc: ec2.CfnVPC, routes: ec2.CfnRouteTable, number: int, zone: str
    ) -> tuple[ec2.CfnSubnet, ec2.CfnSubnetRouteTableAssociation]:
        subnet = ec2.CfnSubnet(
            self,
            f"Subnet-{zone}",
            vpc_id=vpc.ref,
            availability_zone=f"{Aws.REGION}{zone}",
            cidr_block=f"10.0.{number}.0/24",
            map_public_ip_on_launch=True,
        )
        return subnet, ec2.CfnSubnetRouteTableAssociation(
            self, f"Routes-{zone}", subnet_id=subnet.ref, route_table_id=routes.ref
        )


def rule(protocol: str, port: int | None = None, **whom: str) -> dict[str, object]:
    """Return a rule of a security group: for everybody, unless said for whom (`cidrIp`, `sourceSecurityGroupId`)."""
    ports = {} if port is None else {"fromPort": port, "toPort": port}
    return {"ipProtocol": protocol, **ports, **(whom or {"cidrIp": "0.0.0.0/0"})}
