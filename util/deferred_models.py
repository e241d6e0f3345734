"""Build pydantic's validators when a model is first used. Import it before FastAPI.

Some 150 models are imported, FastAPI's of the OpenAPI document among them, and most
processes use a fraction of these. Pydantic builds a model once, under a lock.
"""

import warnings

from pydantic import BaseModel
from pydantic.warnings import UnsupportedFieldAttributeWarning

BaseModel.model_config["defer_build"] = True

# As FastAPI ignores it where it creates its fields: that now happens later.
warnings.filterwarnings("ignore", category=UnsupportedFieldAttributeWarning)
