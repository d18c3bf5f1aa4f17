"""An environment is a value: `load("staging")` gives one frozen, typed object.

It reads `envs/common.env`, then the environment's own file; a local environment also takes its
`.local.env` and the process's own variables, a deployed one takes neither, so that what deploys is
what is in the repository. All problems are reported at once, each with its file and line.
"""

from .checking import check_all, summary
from .loading import deployable, load, names, order
from .model import Environment, Setting
from .references import Reference

__all__ = ["Environment", "Reference", "Setting", "check_all", "deployable", "load", "names", "order", "summary"]
