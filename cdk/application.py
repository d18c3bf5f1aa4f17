"""The CDK application: which stacks there are, in which order, and what all of them share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from aws_cdk import App, Tags

from .outputs import Outputs
from .stacks import Api, Bootstrap, Compute, Database, Observability, Queue, Service, Storage

if TYPE_CHECKING:
    from .settings import Settings


def build(settings: Settings) -> App:
    """Build the application of one environment; `synth()` on it writes the assembly.

    Raises
    ------
    ConfigurationError
        A setting refers to an output that no stack has.
    """
    app = App(
        outdir=str(settings.assembly_dir),
        analytics_reporting=False,
        stack_traces=False,
        tree_metadata=False,
        builtin_cloud_formation_validation=settings.validate,
        context=_feature_flags(),
    )
    outputs = Outputs()
    Bootstrap(app, settings, outputs)
    database = Database(app, settings, outputs)
    storage = Storage(app, settings, outputs)
    queue = Queue(app, settings, outputs)
    compute = Compute(app, settings, outputs, table=database.table, bucket=storage.bucket, queue=queue.queue)
    platforms: dict[str, type[Api | Service]] = {"hosts": Api, "ecs": Service}
    if settings.platform in platforms:
        platforms[settings.platform](
            app,
            settings,
            outputs,
            table=database.table,
            bucket=storage.bucket,
            queue=queue.queue,
            images=compute.images,
        )
    Observability(
        app,
        settings,
        outputs,
        table=database.table,
        bucket=storage.bucket,
        queue=queue.queue,
        dead_letters=queue.dead_letters,
        processor=compute.processor,
    )
    for key, value in settings.tags.items():
        Tags.of(app).add(key, value)
    return app


def _feature_flags() -> dict[str, object]:
    # Only the command line hands cdk.json over, and the assembly is written without it.
    context: dict[str, object] = json.loads((Path(__file__).parent / "cdk.json").read_text(encoding="utf-8"))["context"]
    return context
