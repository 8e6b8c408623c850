"""The one configuration model: every part's settings are a frozen class of this kind, and a recipe is made of them.

Unknown names are refused, values are validated before anything is loaded, and all mistakes are reported at once.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Base of the settings of a part."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
