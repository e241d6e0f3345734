"""Make the imports of a web application quicker. Import this before FastAPI.

Garbage is not collected until `finish`: little of the imports becomes garbage, and looking
for it takes a tenth of the start. FastAPI's models of the OpenAPI document, another
twentieth, are built when they are first used: pydantic does that by itself, under a lock.
"""

import gc

from pydantic import BaseModel

gc.disable()
BaseModel.model_config["defer_build"] = True
import fastapi  # noqa: E402, F401 - its models inherit the configuration

del BaseModel.model_config["defer_build"]


def finish() -> None:
    """Collect garbage from now on, but never look again at what exists already."""
    gc.freeze()
    gc.enable()
