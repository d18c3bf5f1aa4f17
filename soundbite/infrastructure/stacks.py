"""The environment's stacks in its account: compared, deployed, asked for their outputs, destroyed.

The aws-cdk program deploys; what is only read is read with boto3, which is ten times as fast.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from soundbite import node, paths, shell
from soundbite.cloud import explained
from soundbite.environment import tags as tagging
from soundbite.errors import ConfigurationError, SoundbiteError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from soundbite.cloud import Cloud
    from soundbite.environment import Environment

    from .assembly import Assembly

BOOTSTRAP = "Bootstrap"
"""The stack with the ledger; `destroy` never touches it."""

TOOLKIT = "CDKToolkit"
"""The stack of `cdk bootstrap`: AWS CDK's own bucket and roles, one an account and region."""

_TOOLKIT_TEMPLATE = paths.CDK / "node_modules" / "aws-cdk" / "lib" / "api" / "bootstrap" / "bootstrap-template.yaml"
_TOOLKIT_PARAMETERS = {"FileAssetsBucketKmsKeyId": "AWS_MANAGED_KEY"}
"""What `cdk bootstrap` gives when it is asked for nothing; a test compares the one with the other."""
_TOOLKIT_TIMEOUT = 60
"""Seconds until what takes a moment has failed."""

Output = Callable[[str], str]
"""From `Stack.OutputName` to the output's value."""

_DEPLOY_TIMEOUT = 3600
SETTLED = {"CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"}
"""States of a stack whose last change succeeded."""

_OUTPUTS = {
    "Bootstrap": ("LedgerName",),
    "Database": ("TableName", "TableArn"),
    "Storage": ("BucketName",),
    "Queue": ("QueueUrl", "QueueArn", "QueueName", "DeadLetterQueueUrl", "DeadLetterQueueName"),
    "Compute": ("RepositoryUri", "RepositoryName", "FunctionName", "FunctionAliasArn", "LogGroupName"),
    "Api": ("VpcId", "SecurityGroupId", "InstanceRoleArn"),
    "Service": (
        *("ClusterName", "SubnetIds", "SecurityGroupId", "TargetGroupArn", "TargetGroupName"),
        *("LoadBalancerDnsName", "LoadBalancerName", "TaskRoleArn", "ExecutionRoleArn", "LogGroupName", "AlarmNames"),
    ),
    "Observability": ("DashboardName",),
}
"""What stacks give out; tests/unit/cdk holds it against the templates."""

_ROOMS = {"Api": "hosts", "Service": "ecs"}
"""Stacks that only one platform has."""

_PROCESSORS = {"Compute.FunctionName", "Compute.FunctionAliasArn", "Compute.LogGroupName"}


def expected(environment: Environment) -> list[str]:
    """Return the short names of the stacks that an environment has."""
    platform = environment.workflow.platform
    return [name for name in _OUTPUTS if _ROOMS.get(name, platform) == platform]


def expected_outputs(environment: Environment) -> list[str]:
    """Return the outputs that an environment's stacks have, as `Stack.OutputName`."""
    lacking = set() if environment.processor.artifact else _PROCESSORS
    found = [f"{stack}.{output}" for stack in expected(environment) for output in _OUTPUTS[stack]]
    return [each for each in found if each not in lacking]


def tags(environment: Environment) -> dict[str, str]:
    """Return the tags that all its stacks and their resources have."""
    workflow = environment.workflow
    return tagging.of(
        project=workflow.project, environment=environment.name, owner=workflow.owner, cost_center=workflow.cost_center
    )


def describe(cloud: Cloud) -> dict[str, dict[str, Any]]:
    """Return what CloudFormation says of the environment's stacks, by their full names."""
    prefix = cloud.environment.stack_name("")
    found: dict[str, dict[str, Any]] = {}
    with explained("cloudformation:DescribeStacks", cloud.environment):
        for page in cloud.client("cloudformation").get_paginator("describe_stacks").paginate():
            for stack in page["Stacks"]:
                name = stack["StackName"]
                if name == TOOLKIT or (name.startswith(prefix) and "-" not in name.removeprefix(prefix)):
                    found[name] = stack
    return found


def outputs(cloud: Cloud) -> Output:
    """Return a function from `Stack.OutputName` to the output's value, as the stacks are now."""
    return outputs_of(cloud.environment, describe(cloud))


def outputs_of(environment: Environment, described: Mapping[str, Mapping[str, Any]]) -> Output:
    """Return a function from `Stack.OutputName` to the output's value, of what CloudFormation said."""
    prefix = environment.stack_name("")
    values = {
        f"{name.removeprefix(prefix)}.{output['OutputKey']}": str(output["OutputValue"])
        for name, stack in described.items()
        for output in stack.get("Outputs", [])
        if not output["OutputKey"].startswith("Exports")  # CDK's own, between stacks
    }

    def output(name: str) -> str:
        if name not in values:
            raise ConfigurationError(
                f"no stack of {environment.name} has the output {name}", "inv cdk.deploy deploys them."
            )
        return values[name]

    return output


def template(cloud: Cloud, name: str) -> Any:
    """Return the template that a stack was deployed with."""
    with explained("cloudformation:GetTemplate", cloud.environment):
        client = cloud.client("cloudformation")
        return _parsed(client.get_template(StackName=name, TemplateStage="Original")["TemplateBody"])


def pending(cloud: Cloud, assembly: Assembly, described: Mapping[str, Mapping[str, Any]] | None = None) -> list[str]:
    """Return the stacks whose deployed template, tags or state differ from the assembly's.

    The deployed template itself is compared, not a note about it: so it is also right after the
    emulator lost its state, or somebody else deployed.

    Parameters
    ----------
    described:
        What CloudFormation says of the stacks (`describe`); None: it is asked.
    """
    deployed = describe(cloud) if described is None else described
    cloud.client("cloudformation")  # made once, before threads ask for it

    def differs(name: str) -> bool:
        stack = deployed.get(name)
        if stack is None or stack["StackStatus"] not in SETTLED:
            return True
        if {tag["Key"]: tag["Value"] for tag in stack.get("Tags", [])} != assembly.tags(name):
            return True
        return bool(template(cloud, name) != assembly.template(name))

    names = assembly.stacks()
    with ThreadPoolExecutor(len(names)) as pool:
        return [name for name, different in zip(names, pool.map(differs, names), strict=True) if different]


def bootstrap(cloud: Cloud, on_line: Callable[[str], None] | None = None) -> bool:
    """Make AWS CDK's own bucket and roles where the account and region do not have them, or have them half made.

    In emulated AWS a stack is made in a moment, and cdk's start would be most of the time: where there is no such stack
    yet, it is made without cdk, and is the same.

    Returns
    -------
    bool
        Whether they were made now.
    """
    status = describe(cloud).get(TOOLKIT, {}).get("StackStatus")
    if status in SETTLED:
        return False
    aws = cloud.environment.aws
    if cloud.environment.emulated and status is None:
        _bootstrap_emulated(cloud)
    else:
        _cdk(cloud, ["bootstrap", f"aws://{aws.account_id}/{aws.region}"], on_line)
    return True


def _bootstrap_emulated(cloud: Cloud) -> None:
    import yaml

    # As JSON: reading it as YAML keeps the emulator busy ten times as long as this does here (84 and 9 ms).
    text = _TOOLKIT_TEMPLATE.read_text(encoding="utf-8")
    body = json.dumps(yaml.load(text, yaml.CSafeLoader), default=str)
    client = cloud.client("cloudformation")
    given = [{"ParameterKey": name, "ParameterValue": value} for name, value in _TOOLKIT_PARAMETERS.items()]
    with explained("cloudformation:CreateStack", cloud.environment):
        with suppress(client.exceptions.AlreadyExistsException):  # another inv was quicker
            client.create_stack(
                StackName=TOOLKIT,
                TemplateBody=body,
                Parameters=given,
                Capabilities=["CAPABILITY_NAMED_IAM"],
            )
        client.get_waiter("stack_create_complete").wait(
            StackName=TOOLKIT, WaiterConfig={"Delay": 1, "MaxAttempts": _TOOLKIT_TIMEOUT}
        )


def deploy(cloud: Cloud, assembly: Assembly, on_line: Callable[[str], None] | None = None, *, only: str = "") -> None:
    """Deploy all stacks of an assembly, or only one that needs no other.

    Raises
    ------
    CommandFailed
        A stack failed; CloudFormation has taken it back to what it was.
    """
    which = ["--exclusively", only] if only else ["--all", "--concurrency=5"]
    _cdk(cloud, ["deploy", *which, "--app", str(assembly.folder), "--method=direct"], on_line)
    if cloud.environment.emulated and not only:
        from . import gaps

        gaps.fill(cloud, assembly)


def diff(cloud: Cloud, assembly: Assembly) -> str:
    """Return the differences between what is deployed and the assembly, as cdk words them."""
    completed = _cdk(cloud, ["diff", "--all", "--app", str(assembly.folder)], None)
    return (completed.stdout + completed.stderr).strip()


def doomed(cloud: Cloud, assembly: Assembly) -> list[str]:
    """Return the stacks that `destroy` would destroy: those that are there, but for the one with the ledger."""
    there, keep = describe(cloud), cloud.environment.stack_name(BOOTSTRAP)
    return [name for name in assembly.stacks() if name != keep and name in there]


def destroy(cloud: Cloud, assembly: Assembly, on_line: Callable[[str], None] | None = None) -> list[str]:
    """Destroy every stack but the one with the ledger, after emptying the bucket where data is not retained.

    Lifts the stacks' termination protection: whoever calls has had the environment's name typed.

    Returns
    -------
    list
        The stacks that are gone.

    Raises
    ------
    SoundbiteError
        Some are still there afterwards.
    """
    going = doomed(cloud, assembly)
    if not going:
        return []
    there = describe(cloud)
    if not cloud.environment.workflow.retain_data:
        _empty_bucket(cloud)
    with explained("cloudformation:UpdateTerminationProtection", cloud.environment):
        for name in going:
            if there[name].get("EnableTerminationProtection"):
                client = cloud.client("cloudformation")
                client.update_termination_protection(StackName=name, EnableTerminationProtection=False)
    _cdk(cloud, ["destroy", "--force", "--exclusively", "--app", str(assembly.folder), *going], on_line)
    left = sorted(set(describe(cloud)) & set(going))
    if left:
        raise SoundbiteError(
            f"Still there after cdk destroy: {', '.join(left)}.", "inv cdk.destroy again, or look at them."
        )
    return going


def _parsed(body: Any) -> Any:
    """Return a template as a value; boto3 parses JSON ones, but cdk sends small ones as YAML."""
    import yaml

    return yaml.safe_load(body) if isinstance(body, str) else body


def _empty_bucket(cloud: Cloud) -> None:
    try:
        bucket = outputs(cloud)("Storage.BucketName")
    except ConfigurationError:
        return
    s3 = cloud.client("s3")
    with explained("s3:DeleteObject", cloud.environment):
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            if found:
                keys = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]
                s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})


def _cdk(cloud: Cloud, arguments: Sequence[str], on_line: Callable[[str], None] | None) -> shell.Completed:
    environment = cloud.environment
    # The program caches which account an access key belongs to: a home for each environment keeps them apart.
    home = _home(environment)
    # With what V8 compiled the last time, it starts in two thirds of the time.
    env = {**cloud.variables(), "CDK_CODE": str(paths.CACHE / "cdk-program")}
    env |= {"PATH": node.path_variable(), "CDK_HOME": str(home), "CI": "true", "NO_COLOR": "1"}
    argv = [node.choose().program, str(paths.CDK / "start.cjs"), *arguments]
    return shell.run(argv, cwd=paths.CDK, env=env, timeout=_DEPLOY_TIMEOUT, on_line=on_line)


def _home(environment: Environment) -> Path:
    home = environment.state / "cdk-home"
    home.mkdir(parents=True, exist_ok=True)
    return home
