"""Who may reach what: ports, the bucket, rights, the age of secrets."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from soundbite.errors import Inconclusive

from .asking import ask, pages
from .model import DEPLOYED, LOCAL, Failed, Scene, Skipped, Warned, check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from soundbite.environment import Reference

_SSH = 22
_ANYBODY = {"0.0.0.0/0", "::/0"}
_SECRET_DAYS = 90
"""Days after which a secret should be another (CIS AWS Foundations Benchmark, on access keys)."""
_WITHOUT_RESOURCES = {"ecr:GetAuthorizationToken", "polly:SynthesizeSpeech"}
"""Actions that AWS takes for no resource but "*" (Service Authorization Reference)."""
_AWS = "aws"
"""The account in the ARN of a policy that AWS manages."""
_FAR = ("AdministratorAccess", "PowerUserAccess", "IAMFullAccess")


@check("security.ssh", environments=(DEPLOYED,))
def ssh(scene: Scene) -> str:
    """SSH is not open to the world."""
    group = _group(scene)
    found = ask(scene, "ec2", "describe_security_groups", GroupIds=[group])["SecurityGroups"][0]
    open_ = [_told(rule) for rule in found["IpPermissions"] if _covers(rule, _SSH) and _from_anywhere(rule)]
    if open_:
        raise Failed(f"{group} lets the world in: {', '.join(open_)}")
    return f"{group} has no port {_SSH} open to the world"


@check("security.ports", environments=(DEPLOYED,))
def ports(scene: Scene) -> str:
    """The world reaches the application's port on hosts and no other; ECS tasks it reaches not at all."""
    group = _group(scene)
    found = ask(scene, "ec2", "describe_security_groups", GroupIds=[group])["SecurityGroups"][0]
    on_hosts = scene.environment.workflow.platform == "hosts"
    wanted = {(scene.environment.hosts.http_port,) * 2} if on_hosts else set()
    wide = [
        _told(rule)
        for rule in found["IpPermissions"]
        if _from_anywhere(rule) and (rule.get("FromPort"), rule.get("ToPort")) not in wanted
    ]
    beside = f"port {scene.environment.hosts.http_port}" if on_hosts else "the load balancer only"
    if wide:
        raise Failed(f"{group} lets the world in beside {beside}: {', '.join(wide)}")
    return beside


@check("security.bucket")
def bucket(scene: Scene) -> str:
    """No policy and no grant gives the bucket to everybody, and it wants TLS."""
    name = scene.output("Storage.BucketName")
    statements = list(_statements(ask(scene, "s3", "get_bucket_policy", Bucket=name)["Policy"]))
    given = [each for each in statements if each["Effect"] == "Allow" and _everybody(each.get("Principal"))]
    open_ = [str(each.get("Action")) for each in given if not each.get("Condition")]
    if open_:
        raise Failed(f"the policy of {name} gives everybody {', '.join(open_)}")
    grants = ask(scene, "s3", "get_bucket_acl", Bucket=name)["Grants"]
    public = [each["Permission"] for each in grants if "groups/global" in each["Grantee"].get("URI", "")]
    if public:
        raise Failed(f"the access list of {name} gives everybody {', '.join(public)}")
    denied = [each for each in statements if each["Effect"] == "Deny" and "SecureTransport" in json.dumps(each)]
    if not denied:
        raise Failed(f"the policy of {name} does not refuse what comes without TLS")
    return f"{name}: nobody outside, TLS only"


@check("security.iam")
def iam(scene: Scene) -> str:
    """No role may do everything, nor something with everything."""
    roles = [
        each["PhysicalResourceId"]
        for stack in scene.stacks()
        if stack.startswith(scene.environment.stack_name(""))
        for each in pages(scene, "cloudformation", "list_stack_resources", "StackResourceSummaries", StackName=stack)
        if each["ResourceType"] == "AWS::IAM::Role"
    ]
    problems = [f"{role}: {problem}" for role in roles for problem in _wide(scene, role)]
    if problems:
        raise Failed("; ".join(problems))
    if not roles:
        raise Skipped("the stacks have no roles")
    return ", ".join(roles)


@check("security.secrets")
def secrets_age(scene: Scene) -> str:
    """No secret has been the same for more than 90 days."""
    ages = {}
    for name, setting in scene.environment.app_env.items():
        reference = setting.reference
        since = _current_since(scene, reference) if reference is not None else None
        if since is not None:
            ages[name] = (datetime.now(UTC) - since).days
    if not ages:
        raise Skipped("the application is given no secrets of Secrets Manager or Parameter Store")
    old = {name: days for name, days in ages.items() if days > _SECRET_DAYS}
    told = ", ".join(f"{name} is {days} days old" for name, days in (old or ages).items())
    if old:
        raise Warned(told)
    return told


@check("security.listens", environments=(LOCAL,))
def listens(scene: Scene) -> str:
    """What runs here listens on loopback only, or where its environment says."""
    import ipaddress

    import psutil

    from soundbite.platforms import room as rooms

    room = rooms.of(scene.environment)
    if room.containers:
        raise Skipped("it runs in containers; compose files publish on 127.0.0.1")
    found = []
    for service, _ in room.services():
        pid = service.pid()
        if pid is None:
            continue
        try:
            process = psutil.Process(pid)
            for each in (process, *process.children(recursive=True)):
                sockets = [one for one in each.net_connections("tcp") if one.status == psutil.CONN_LISTEN]
                found += [(service.name, one.laddr.ip, one.laddr.port) for one in sockets]
        except psutil.NoSuchProcess:
            continue
    # A rehearsal's emulator is reached by containers: EMULATOR_HOST is the address of Docker's bridge there.
    said = {scene.environment.app.host, scene.environment.emulator.host}
    wide = [each for each in found if each[1] not in said and not ipaddress.ip_address(each[1]).is_loopback]
    if wide:
        raise Failed(", ".join(f"{name} listens on {address}:{port}" for name, address, port in wide))
    if not found:
        raise Skipped("nothing of it runs")
    return ", ".join(f"{name} on {address}:{port}" for name, address, port in sorted(set(found)))


def _group(scene: Scene) -> str:
    """Return the security group of hosts, or of tasks."""
    return scene.output({"hosts": "Api", "ecs": "Service"}[scene.environment.workflow.platform] + ".SecurityGroupId")


def _covers(rule: dict[str, Any], port: int) -> bool:
    if rule["IpProtocol"] == "-1":
        return True
    return bool(rule["IpProtocol"] in {"tcp", "6"} and rule.get("FromPort", 0) <= port <= rule.get("ToPort", 65535))


def _from_anywhere(rule: dict[str, Any]) -> bool:
    sources = {each.get("CidrIp") for each in rule.get("IpRanges", [])}
    sources |= {each.get("CidrIpv6") for each in rule.get("Ipv6Ranges", [])}
    return bool(sources & _ANYBODY)


def _told(rule: dict[str, Any]) -> str:
    if rule["IpProtocol"] == "-1":
        return "every port"
    first, last = rule.get("FromPort"), rule.get("ToPort")
    return f"{rule['IpProtocol']} {first}" if first == last else f"{rule['IpProtocol']} {first} to {last}"


def _everybody(principal: Any) -> bool:
    return principal == "*" or (isinstance(principal, dict) and "*" in _list(principal.get("AWS", [])))


def _current_since(scene: Scene, reference: Reference) -> datetime | None:
    """Return since when a secret has its current value; None for what has no date.

    What Secrets Manager calls LastChangedDate is that of any change, such as one of a tag.
    """
    if reference.kind == "ssm":
        found: datetime = ask(scene, "ssm", "get_parameter", Name=reference.target)["Parameter"]["LastModifiedDate"]
        return found
    if reference.kind != "secretsmanager":
        return None
    name = reference.target.partition("#")[0]
    # Only versions with a stage are listed, which are a handful.
    versions = ask(scene, "secretsmanager", "list_secret_version_ids", SecretId=name)["Versions"]
    current: list[datetime] = [
        each["CreatedDate"] for each in versions if "AWSCURRENT" in each.get("VersionStages", [])
    ]
    if not current:
        raise Inconclusive(f"{name} has no current version")
    return max(current)


def _wide(scene: Scene, role: str) -> Iterator[str]:
    for policy in pages(scene, "iam", "list_role_policies", "PolicyNames", RoleName=role):
        found = ask(scene, "iam", "get_role_policy", RoleName=role, PolicyName=policy)
        yield from _too_much_of(found["PolicyDocument"])
    for attached in pages(scene, "iam", "list_attached_role_policies", "AttachedPolicies", RoleName=role):
        arn = attached["PolicyArn"]
        if attached["PolicyName"] in _FAR or attached["PolicyName"].endswith("FullAccess"):
            yield f"has {attached['PolicyName']}"
        elif arn.split(":")[4] != _AWS:
            # Of AWS's own policies the name says how far they go; anybody else's may say anything.
            version = ask(scene, "iam", "get_policy", PolicyArn=arn)["Policy"]["DefaultVersionId"]
            found = ask(scene, "iam", "get_policy_version", PolicyArn=arn, VersionId=version)
            for problem in _too_much_of(found["PolicyVersion"]["Document"]):
                yield f"{problem} ({attached['PolicyName']})"


def _too_much_of(document: Any) -> Iterator[str]:
    for statement in _statements(document):
        if statement["Effect"] == "Allow":
            yield from _too_much(statement)


def _too_much(statement: dict[str, Any]) -> Iterator[str]:
    for action in _list(statement.get("Action", [])):
        if action == "*" or action.endswith(":*"):
            yield f"may {action}"
        elif "*" in _list(statement.get("Resource", [])) and action not in _WITHOUT_RESOURCES:
            yield f"may {action} on every resource"
    if "NotAction" in statement or "NotResource" in statement:
        yield "may all that is not named (NotAction, NotResource)"


def _statements(document: Any) -> Iterator[dict[str, Any]]:
    # The API gives a policy as JSON in URL encoding; boto3 decodes that for some calls.
    parsed = document if isinstance(document, dict) else json.loads(unquote(str(document)))
    yield from _list(parsed.get("Statement", []))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
