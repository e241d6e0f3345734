"""Make the imports of a web application quicker. Import this before FastAPI.

Garbage is not collected until `finish`. FastAPI's models of the OpenAPI document, a
twentieth of the start, are built when they are first used: pydantic does that by itself,
under a lock.
"""

from util import program_start  # isort: split

import sys
from typing import Any, cast

from pydantic import BaseModel

_base: Any = BaseModel
_rebuild = _base.model_rebuild.__func__


def _rebuild_if_used(model: type[BaseModel], /, **options: Any) -> bool | None:
    """Leave a model unbuilt if FastAPI completes it where it defines it.

    Pydantic itself gives *options*, when it builds one that is used.
    """
    built: bool | None = _rebuild(model, **options) if options else None
    return built


_base.model_config["defer_build"] = True
_base.model_rebuild = classmethod(_rebuild_if_used)
import fastapi  # noqa: E402, F401 - its models inherit the configuration

_base.model_rebuild = classmethod(_rebuild)
del _base.model_config["defer_build"]

# FastAPI asks of each model whether it is one of pydantic 1, and would import that first:
# longer than all else that the first request does.
cast("dict[str, Any]", sys.modules)["pydantic.v1"] = None

finish = program_start.finish
in_background = program_start.in_background
