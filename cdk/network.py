"""The network of the hosts: two public subnets, each in a zone of its own, and the way out."""

from __future__ import annotations

from aws_cdk import Aws
from aws_cdk import aws_ec2 as ec2
from constructs import Construct


class Network(Construct):
    """A network whose subnets reach the internet without a NAT gateway, which would cost more than the hosts.

    Of single resources: the library's own `Vpc` asks AWS during synth for zones, and no two assemblies of it are the
    same bytes.
    """

    def __init__(self, scope: Construct, name: str) -> None:
        super().__init__(scope, name)
        vpc = ec2.CfnVPC(self, "Vpc", cidr_block="10.0.0.0/16", enable_dns_support=True, enable_dns_hostnames=True)
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
