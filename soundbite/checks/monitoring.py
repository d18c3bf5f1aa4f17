"""Whether the environment is watched, and what the watching says: alarms, dashboard, errors in the logs, retention."""

from __future__ import annotations

import re
import time
from typing import Any

from soundbite.errors import Inconclusive
from soundbite.infrastructure import alarms as alarms_of
from soundbite.platforms import hosts

from .asking import ask, expect, pages
from .model import DEPLOYED, Failed, Scene, Severity, Skipped, Warned, check

_RECENT = 900
"""Seconds of log lines that are looked through."""
_MOST = 2000
"""Lines of a log that are looked through."""
_FEW = 3
"""Errors that somebody should look at; with more of them something is broken."""
_ERROR = re.compile(r'"level":\s*"(error|fatal)"|\bERROR\b|Task timed out|^\w*Error: ')
"""Lines of ours, of Lambda's runtimes, of Lambda itself, and of an exception as it is printed."""
_PATTERN = '?ERROR ?"\\"error\\"" ?"\\"fatal\\"" ?"Task timed out" ?"Error:"'
"""What CloudWatch shall give of them; which of those are errors, _ERROR says."""


@check("monitoring.alarms")
def alarms(scene: Scene) -> str:
    """Every resource that the application uses has an alarm."""
    watched = {
        (each["Namespace"], dimension["Value"])
        for each in _alarms(scene)
        for dimension in each.get("Dimensions", [])
        if "Namespace" in each
    }
    wanted = {
        "the table": ("AWS/DynamoDB", scene.output("Database.TableName")),
        "the bucket": ("AWS/S3", scene.output("Storage.BucketName")),
        "the queue": ("AWS/SQS", scene.output("Queue.QueueName")),
        "the dead-letter queue": ("AWS/SQS", scene.output("Queue.DeadLetterQueueName")),
    }
    if scene.environment.processor.artifact is not None:
        wanted["the processor"] = ("AWS/Lambda", scene.output("Compute.FunctionName"))
    if scene.environment.workflow.platform == "hosts" and scene.environment.hosts.count:
        # Those that the Api stack makes; where HOSTS_COUNT is 0, they come from elsewhere, and so do their alarms.
        wanted |= {f"host {each.name}": ("AWS/EC2", each.id) for each in hosts.find(scene.cloud)}
    if scene.environment.workflow.platform == "ecs":
        wanted["the load balancer"] = ("AWS/ApplicationELB", scene.output("Service.LoadBalancerName"))
        wanted["the tasks"] = ("AWS/ECS", scene.output("Service.ClusterName"))
    missing = [f"{what} ({name})" for what, (space, name) in wanted.items() if (space, name) not in watched]
    if missing:
        raise Failed(f"no alarm watches {', '.join(missing)}")
    return f"{len(_alarms(scene))} alarms for {', '.join(wanted)}"


@check("monitoring.states")
def states(scene: Scene) -> str:
    """No alarm is in ALARM, and each has data."""
    found = _alarms(scene)
    ringing = [each for each in found if each["StateValue"] == "ALARM"]
    if ringing:
        raise Failed("; ".join(f"{each['AlarmName']}: {each.get('StateReason', '')}".strip() for each in ringing))
    blind = [each["AlarmName"] for each in found if each["StateValue"] == "INSUFFICIENT_DATA"]
    if not found:
        raise Failed("there are no alarms")
    if blind and scene.environment.emulated:
        raise Skipped(f"{len(blind)} of {len(found)} have no data: emulated services publish few metrics; none rings")
    if blind:
        raise Inconclusive(f"without data: {', '.join(blind)}")
    return f"{len(found)} OK"


@check("monitoring.actions", severity=Severity.WARNING, environments=(DEPLOYED,))
def actions(scene: Scene) -> str:
    """No alarm was silenced."""
    silent = [each["AlarmName"] for each in _alarms(scene) if not each.get("ActionsEnabled", True)]
    if silent:
        raise Failed(f"with their actions switched off: {', '.join(silent)}")
    return f"{len(_alarms(scene))} alarms"


@check("monitoring.dashboard")
def dashboard(scene: Scene) -> str:
    """The dashboard is there."""
    name = scene.output("Observability.DashboardName")
    ask(scene, "cloudwatch", "get_dashboard", DashboardName=name)
    return name


@check("monitoring.errors")
def errors(scene: Scene) -> str:
    """The logs of the processor, and of tasks on ECS, have had no errors of late."""
    found: list[str] = []
    seen = 0
    unread = []
    for group in _groups(scene):
        lines, whole = _recent(scene, group)
        seen += len(lines)
        found += [line for line in lines if _ERROR.search(line)]
        if not whole:
            unread.append(group)
    minutes = _RECENT // 60
    if found:
        told = f"{len(found)} errors within {minutes} minutes, the last: {found[-1][:300]}"
        if len(found) > _FEW:
            raise Failed(told)
        raise Warned(told)
    if unread:
        raise Inconclusive(f"none in the first {seen} lines of {minutes} minutes, and {', '.join(unread)} has more")
    return f"none in {seen} lines of {minutes} minutes"


@check("monitoring.retention")
def retention(scene: Scene) -> str:
    """Logs are kept as long as configured, and not for ever (LOGS_RETENTION_DAYS)."""
    wanted = scene.environment.logs.retention_days
    needed = set(_groups(scene))
    names = needed | {f"/aws/lambda/{scene.output('Compute.FunctionName')}"}
    groups = {
        each["logGroupName"]: each.get("retentionInDays")
        for name in sorted(names)
        for each in pages(scene, "logs", "describe_log_groups", "logGroups", logGroupNamePrefix=name)
        if each["logGroupName"] in names
    }
    if missing := sorted(needed - groups.keys()):
        raise Failed(f"there is no log group {', '.join(missing)}")
    for name, days in groups.items():
        expect(f"the retention of {name} in days", days or "for ever", wanted)
    return f"{wanted} days: {', '.join(groups)}"


def _alarms(scene: Scene) -> list[dict[str, Any]]:
    return scene.once("alarms", lambda: alarms_of.describe(scene.cloud))


def _groups(scene: Scene) -> list[str]:
    """Return the log groups of what runs at AWS."""
    found = []
    if scene.environment.processor.artifact is not None:
        found.append(scene.output("Compute.LogGroupName"))
    if scene.environment.workflow.platform == "ecs":
        found.append(scene.output("Service.LogGroupName"))
    if not found:
        raise Skipped("there is no processor (PROCESSOR_ARTIFACT is empty), and no tasks of ECS")
    return found


def _recent(scene: Scene, group: str) -> tuple[list[str], bool]:
    """Return the lines of late that may be errors, and whether those are all."""
    found: list[str] = []
    # The emulator knows no patterns of several terms; there all lines are looked through.
    more: dict[str, Any] = {} if scene.environment.emulated else {"filterPattern": _PATTERN}
    while len(found) < _MOST:
        answer = ask(
            scene,
            "logs",
            "filter_log_events",
            logGroupName=group,
            startTime=int((time.time() - _RECENT) * 1000),
            limit=min(1000, _MOST - len(found)),
            **more,
        )
        found += [each["message"].strip() for each in answer.get("events", [])]
        if not answer.get("nextToken"):
            return found, True
        more |= {"nextToken": answer["nextToken"]}
    return found, False
