"""What can be wrong with a working environment: each fault is seeded for real, and taken back at the end."""

from __future__ import annotations

from .application import (
    altered,
    another_application,
    broken_description,
    half,
    hangs,
    other_errors,
    redirect_loop,
    refused,
    slow,
    started_with,
    unresolved,
    wrong_body,
)
from .fault import Fault
from .monitoring import alarm_missing, alarm_rings, dashboard_missing, logs_for_ever
from .resources import (
    audio_for_ever,
    bucket_public,
    dead_letters,
    event_source_off,
    ledger_without_recovery,
    old_version,
    processor_changed,
    processor_throws,
    queue_without_dead_letters,
    table_deleted,
    tags_movable,
    ttl_off,
    unencrypted,
    versions_kept,
)
from .settings import SECRET, another_account, clock_skewed, line, listens_to_the_world, secret_gone, secret_old
from .stacks import output_changed, stack_deleted, stack_rolled_back, tag_missing, unprotected

ALL = dict.fromkeys(("api.ready", "api.openapi", "api.cors", "api.errors", "api.rate_limit"), "fail")
"""What cannot be well where the application does not answer as it should, beside `api.health`."""

NOBODY = dict.fromkeys(("api.health", *ALL), "inconclusive")
"""What has nobody to ask."""

FAULTS = {
    "table deleted": Fault(
        table_deleted, "resources.table", "not there", "resources",
        others={"resources.table_ttl": "fail", "resources.table_backup": "fail"},
    ),
    "API up but DynamoDB gone": Fault(table_deleted, "api.ready", "dynamodb: ", "api"),
    "TTL off": Fault(ttl_off, "resources.table_ttl", "DISABLED", "resources"),
    "ledger without recovery": Fault(
        ledger_without_recovery, "resources.ledger", "point-in-time recovery is DISABLED, not ENABLED", "resources"
    ),
    "bucket public": Fault(bucket_public, "security.bucket", "gives everybody s3:GetObject", "security"),
    "bucket without its block": Fault(bucket_public, "resources.bucket", "has no block of public access", "resources"),
    "bucket without encryption": Fault(unencrypted, "resources.bucket_encryption", "no encryption rule", "resources"),
    "audio kept for ever": Fault(audio_for_ever, "resources.bucket_lifecycle", "has no lifecycle rule", "resources"),
    "old audio kept": Fault(versions_kept, "resources.bucket_versions", "versioning is True, not False", "resources"),
    "queue without DLQ": Fault(queue_without_dead_letters, "resources.queue", "no dead-letter queue", "resources"),
    "DLQ filling": Fault(dead_letters, "resources.dead_letters", "2 messages", "resources"),
    "event source disabled": Fault(event_source_off, "resources.event_source", "Disabled", "resources"),
    "processor changed": Fault(processor_changed, "resources.processor", "Timeout is 3, not 25", "resources"),
    "processor throwing": Fault(processor_throws, "monitoring.errors", "no luck today", "monitoring"),
    "old version behind the alias": Fault(old_version, "resources.alias", "the version behind live is", "resources"),
    "tags of images can be moved": Fault(
        tags_movable, "resources.repository", "tag mutability is MUTABLE, not IMMUTABLE", "resources"
    ),
    "stack deleted": Fault(
        stack_deleted, "stacks.present", "not there: Observability", "stacks", others={"stacks.outputs": "fail"}
    ),
    "stack in ROLLBACK": Fault(stack_rolled_back, "stacks.state", "Queue is UPDATE_ROLLBACK_COMPLETE", "stacks"),
    "stack unprotected": Fault(unprotected, "stacks.protected", "without termination protection: Bootstrap", "stacks"),
    "output missing": Fault(
        output_changed("Compute", "LogGroupName", None), "stacks.outputs", "Compute.LogGroupName", "stacks"
    ),
    "output missing that a setting needs": Fault(
        output_changed("Queue", "QueueUrl", None), "config.outputs", "there is no output Queue.QueueUrl", "config"
    ),
    "output of another region": Fault(
        output_changed("Queue", "QueueArn", "arn:aws:sqs:us-east-1:000000000000:elsewhere"),
        "identity.region", "is us-east-1, not eu-central-1", "identity",
    ),
    "tag missing": Fault(tag_missing, "stacks.tags", "Storage has no tag Owner", "stacks"),
    "alarm in ALARM": Fault(alarm_rings, "monitoring.states", "messages were lost", "monitoring"),
    "alarm missing": Fault(alarm_missing, "monitoring.alarms", "the dead-letter queue", "monitoring"),
    "dashboard missing": Fault(dashboard_missing, "monitoring.dashboard", "not there", "monitoring"),
    "log group without retention": Fault(logs_for_ever, "monitoring.retention", "for ever", "monitoring"),
    "listening to the world": Fault(
        listens_to_the_world, "security.listens", "app listens on 0.0.0.0", "security.listens"
    ),
    "secret gone": Fault(secret_gone, "config.secrets", SECRET, "config"),
    "secret old": Fault(secret_old, "security.secrets", "METRICS_TOKEN is 100 days old", "security", "warn"),
    "a file that does not load": Fault(
        line("production", "NO_SUCH_KEY=1"), "config.files", "NO_SUCH_KEY", "config",
        others={"config.keys": "inconclusive"},
    ),
    "a key set in one environment only": Fault(
        line("dev-aws", "APP_ENV_NEWLY_NEEDED=yes"), "config.keys",
        "APP_ENV_NEWLY_NEEDED is set in dev-aws (envs/dev-aws.env:", "config",
    ),
    "wrong account": Fault(another_account, "identity.account", "999999999999", "identity"),
    "clock skew": Fault(clock_skewed, "identity.clock", "behind AWS", "identity"),
    "API slow": Fault(slow, "performance.latency", "over its budget of 250 ms", "performance"),
    "200 with a wrong body": Fault(
        altered(wrong_body), "identity.health", "is another application: it answered", "identity,api"
    ),
    "another application": Fault(
        another_application, "identity.health", "answered 200 without JSON: <html>Welcome", "identity,api",
        others=ALL, well=("api.health",),
    ),
    "health fine, journey failing": Fault(
        processor_throws, "journey.clip", "is still pending after 15 s", "journey,identity.health,api.health,api.ready",
        others={"journey.idempotent": "fail"}, well=("identity.health", "api.health", "api.ready"),
    ),
    "CORS gone": Fault(
        started_with(APP_ENV_CORS_ORIGINS="https://other.example"), "api.cors",
        "may not call it: the preflight answered", "api",
    ),
    "rate limit gone": Fault(
        started_with(APP_ENV_RATE_LIMIT="1000000"), "api.rate_limit", "RateLimit-Limit is 1000000, not 100000", "api"
    ),
    "errors of another shape": Fault(altered(other_errors), "api.errors", "answered 404 without JSON", "api"),
    "OpenAPI broken": Fault(altered(broken_description), "api.openapi", "/api-json is not valid: ", "api"),
    "half a response": Fault(altered(half), "api.health", "got half an answer", "api", others=ALL),
    "redirect loop": Fault(
        altered(redirect_loop), "api.health", "redirects (302) to /health, not 200", "api", others=ALL
    ),
    "a dependency out of reach": Fault(
        started_with(APP_ENV_SQS_QUEUE_URL="http://127.0.0.1:{emulator}/000000000000/nobody"),
        "api.ready", "answered 503: sqs: QueueDoesNotExist", "api",
    ),
    "connection refused": Fault(refused, "api.reachable", "refuses connections", "api", others=NOBODY),
    "name that does not resolve": Fault(
        unresolved, "api.resolves", "soundbite.invalid does not resolve", "api",
        others={**NOBODY, "api.reachable": "inconclusive"},
    ),
    "connection that hangs": Fault(hangs, "api.health", "answer within 5 s", "api", others=ALL),
}  # fmt: skip
"""Every fault that is seeded in a local environment; docs/validation.md has them all."""
