"""The parameters that several routes share."""

from typing import Annotated

from fastapi import Path, Query

from app.fields import MAX_BIGINT

PathId = Annotated[int, Path(ge=1, le=MAX_BIGINT, examples=[1])]
Limit = Annotated[int, Query(ge=1, le=1_000, description="At most so many")]
Cursor = Annotated[int, Query(ge=0, le=MAX_BIGINT, description="`next` of the page before")]
