"""The base of every model that users write in a file or a DAG."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class StrictModel(BaseModel):
    """A model that rejects unknown fields and infinite numbers, and cannot be changed once it is made."""

    # Pydantic builds a validator when it is first used: a DAG file that only names a model does not pay for it.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, allow_inf_nan=False)
