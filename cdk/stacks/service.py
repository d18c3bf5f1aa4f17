"""Where the API runs with `PLATFORM=ecs`: what its service stands in, on Fargate behind a load balancer.

The service and its task definitions are not here. The workflow makes them at a deployment: in a template, any later
change of the stack would bring back the release that the template knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aws_cdk import App, RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs

from cdk.alarms import watch
from cdk.network import CIDR, Network, rule
from soundbite.environment import naming

from . import rights
from .base import EnvironmentStack, allow
from .compute import LOG_RETENTION

if TYPE_CHECKING:
    from aws_cdk import aws_cloudwatch as cloudwatch

    from cdk.outputs import Outputs
    from cdk.settings import Settings

_TLS = "ELBSecurityPolicy-TLS13-1-2-Res-2021-06"
"""TLS 1.3 and 1.2, with forward secrecy and authenticated encryption only."""
_BUSY = 80
"""Per cent of their CPU that the tasks should not need for long."""


class Service(EnvironmentStack):
    """The network, the load balancer and the cluster of the API."""

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
        open_ports = [80, 443] if settings.tasks.certificate else [80]
        balancer_rules = self._balancer_rules(network, open_ports)
        task_rules = self._task_rules(network, balancer_rules)
        target = self._target(network)
        balancer = self._balancer(network, balancer_rules, target)
        cluster = ecs.CfnCluster(self, "Cluster")
        log_group = logs.LogGroup(
            self,
            "Logs",
            retention=LOG_RETENTION[settings.logs.retention_days],
            removal_policy=RemovalPolicy.DESTROY,
        )
        task_role = self._task_role(table, bucket, queue)
        execution_role = self._execution_role(images, log_group)
        failing = self._alarms(cluster, balancer, target)
        self.give("ClusterName", cluster.ref, "The cluster of the service")
        self.give("SubnetIds", ",".join(network.subnet_ids), "Where tasks run; they need public addresses there")
        self.give("SecurityGroupId", task_rules.attr_group_id, "What tasks may be asked")
        self.give("TargetGroupArn", target.ref, "The tasks that the load balancer asks")
        self.give("TargetGroupName", target.attr_target_group_full_name, "The same, as its metrics name it")
        self.give("LoadBalancerDnsName", balancer.attr_dns_name, "What APP_URL's name has to lead to")
        self.give("LoadBalancerName", balancer.attr_load_balancer_full_name, "The same, as its metrics name it")
        self.give("TaskRoleArn", task_role.role_arn, "What the application may do")
        self.give("ExecutionRoleArn", execution_role.role_arn, "What ECS may do to start its containers")
        self.give("LogGroupName", log_group.log_group_name, "The application's logs")
        self.give("AlarmNames", failing.alarm_name, "Alarms that end a deployment, with commas between them")

    # Rules inside the groups: the emulator has no resources of their own for them. So the load balancer's way out is
    # the network: naming the tasks' group, which names the load balancer's, would be a circle.

    def _balancer_rules(self, network: Network, ports: list[int]) -> ec2.CfnSecurityGroup:
        return ec2.CfnSecurityGroup(
            self,
            "BalancerRules",
            vpc_id=network.vpc_id,
            group_description="In: http and https, from everybody. Out: the tasks.",
            security_group_ingress=[rule("tcp", port) for port in ports],
            security_group_egress=[rule("tcp", naming.PORT, cidrIp=CIDR)],
        )

    def _task_rules(self, network: Network, balancer_rules: ec2.CfnSecurityGroup) -> ec2.CfnSecurityGroup:
        return ec2.CfnSecurityGroup(
            self,
            "TaskRules",
            vpc_id=network.vpc_id,
            group_description="In: the port of the application, from the load balancer only.",
            security_group_ingress=[rule("tcp", naming.PORT, sourceSecurityGroupId=balancer_rules.attr_group_id)],
            security_group_egress=[rule("-1")],
        )

    def _target(self, network: Network) -> elb.CfnTargetGroup:
        tasks = self.settings.tasks
        return elb.CfnTargetGroup(
            self,
            "Tasks",
            target_type="ip",
            vpc_id=network.vpc_id,
            protocol="HTTP",
            port=naming.PORT,
            health_check_path=tasks.ready_path or tasks.health_path,
            matcher={"httpCode": "200"},
            health_check_interval_seconds=10,
            health_check_timeout_seconds=5,
            healthy_threshold_count=2,
            # ECS replaces a task that is not ready for so long; not for the hiccup of what it depends on.
            unhealthy_threshold_count=6,
            target_group_attributes=[
                {"key": "deregistration_delay.timeout_seconds", "value": str(int(tasks.drain))},
            ],
        )

    def _balancer(
        self, network: Network, rules: ec2.CfnSecurityGroup, target: elb.CfnTargetGroup
    ) -> elb.CfnLoadBalancer:
        balancer = elb.CfnLoadBalancer(
            self,
            "Balancer",
            # Known beforehand, so that a rehearsal has a way to it.
            name=naming.balancer(self.settings.project, self.settings.environment),
            type="application",
            scheme="internet-facing",
            subnets=network.subnet_ids,
            security_groups=[rules.attr_group_id],
            load_balancer_attributes=[
                {"key": "routing.http.drop_invalid_header_fields.enabled", "value": "true"},
                # Shorter than the application keeps a connection (65 s): else it would close one that is just used.
                {"key": "idle_timeout.timeout_seconds", "value": "60"},
            ],
        )
        # An internet-facing one is refused as long as the network has no way out.
        for each in network.ways_out:
            balancer.add_resource_dependency(each)
        forward = {"type": "forward", "targetGroupArn": target.ref}
        to_https = {"protocol": "HTTPS", "port": "443", "statusCode": "HTTP_301"}
        certificate = self.settings.tasks.certificate
        elb.CfnListener(
            self,
            "Http",
            load_balancer_arn=balancer.ref,
            protocol="HTTP",
            port=80,
            default_actions=[{"type": "redirect", "redirectConfig": to_https} if certificate else forward],
        )
        if certificate:
            elb.CfnListener(
                self,
                "Https",
                load_balancer_arn=balancer.ref,
                protocol="HTTPS",
                port=443,
                ssl_policy=_TLS,
                certificates=[{"certificateArn": certificate}],
                default_actions=[forward],
            )
        return balancer

    def _task_role(self, table: dynamodb.ITable, bucket: s3.IBucket, queue: sqs.IQueue) -> iam.Role:
        return iam.Role(
            self,
            "TaskRole",
            # ECS takes it for tasks of this account only.
            assumed_by=iam.ServicePrincipal(
                "ecs-tasks.amazonaws.com", conditions={"StringEquals": {"aws:SourceAccount": self.settings.account}}
            ),
            inline_policies={"Application": iam.PolicyDocument(statements=rights.of_application(table, bucket, queue))},
        )

    def _execution_role(self, images: ecr.IRepository, log_group: logs.ILogGroup) -> iam.Role:
        statements = [
            *rights.to_pull(images),
            allow(log_group.log_group_arn, "logs:CreateLogStream", "logs:PutLogEvents"),
            *rights.to_read(self, self.settings.secrets, of_ssm="ssm:GetParameters"),
        ]
        return iam.Role(
            self,
            "ExecutionRole",
            assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com"),
            inline_policies={"Start": iam.PolicyDocument(statements=statements)},
        )

    def _alarms(
        self, cluster: ecs.CfnCluster, balancer: elb.CfnLoadBalancer, target: elb.CfnTargetGroup
    ) -> cloudwatch.Alarm:
        """Make the alarms; return that which tells of a bad release."""
        whole = {"LoadBalancer": balancer.attr_load_balancer_full_name}
        tasks = {**whole, "TargetGroup": target.attr_target_group_full_name}
        service = {"ClusterName": cluster.ref, "ServiceName": naming.SERVICE}
        balancing = "AWS/ApplicationELB"
        failed = "the load balancer got no answer from a task"
        watch(self, "BalancerErrors", balancing, "HTTPCode_ELB_5XX_Count", whole, failed)
        unready = "a task is not ready"
        watch(self, "UnhealthyTasks", balancing, "UnHealthyHostCount", tasks, unready, statistic="Maximum", minutes=3)
        busy = f"the tasks need more than {_BUSY} % of their CPU"
        watch(
            self, "TasksBusy", "AWS/ECS", "CPUUtilization", service, busy, statistic="Average", above=_BUSY, minutes=5
        )
        return watch(self, "TaskErrors", balancing, "HTTPCode_Target_5XX_Count", tasks, "tasks answered with a 5xx")
