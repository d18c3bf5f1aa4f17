"""The map of all tasks: assembles every namespace, and nothing else."""

import os
import sys
from pathlib import Path

# Invoke turns the writing of bytecode off: every start would compile the whole workflow again.
sys.dont_write_bytecode = bool(os.environ.get("PYTHONDONTWRITEBYTECODE"))

# This file and the folder tasks/ share a name: the folder's modules are this module's children.
__path__ = [str(Path(__file__).with_suffix(""))]

from invoke import Collection

from tasks import cdk, dev, docs, envs, images, top

namespace = Collection(
    top.build,
    top.doctor,
    top.setup_localstack,
    top.test,
    Collection.from_module(cdk),
    Collection.from_module(dev),
    Collection.from_module(docs),
    Collection.from_module(envs),
    Collection.from_module(images),
)
