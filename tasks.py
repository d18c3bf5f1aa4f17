"""The map of all tasks: assembles every namespace, and nothing else."""

import gc
import os
import sys
from pathlib import Path

# What a start makes stays to the end: to look through it for garbage dozens of times takes a tenth of the start.
gc.set_threshold(100_000, 20, 20)

# Invoke turns the writing of bytecode off: every start would compile the whole workflow again.
sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))

# This file and the folder tasks/ share a name: the folder's modules are this module's children.
__path__ = [str(Path(__file__).with_suffix(""))]

from invoke import Collection

from tasks import cdk, ci, deploy, dev, docs, envs, hosts, images, lock, rehearse, releases, top, validation

deploys = Collection("deploy", deploy.to, *deploy.tasks())

namespace = Collection(
    ci.ci_summary,
    top.audit,
    top.build,
    top.doctor,
    top.history,
    top.rollback,
    top.setup_localstack,
    top.status,
    top.test,
    validation.health,
    validation.validate,
    Collection.from_module(cdk),
    Collection("ci", ci.summary),
    deploys,
    Collection.from_module(dev),
    Collection.from_module(docs),
    Collection.from_module(envs),
    Collection.from_module(hosts),
    Collection.from_module(images),
    Collection.from_module(lock),
    Collection.from_module(rehearse),
    Collection.from_module(releases),
)
