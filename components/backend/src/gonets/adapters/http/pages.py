"""How lists are asked for and answered: one page, and where the next one begins."""

from typing import Annotated

from fastapi import Query
from pydantic import Field

Cursor = Annotated[str | None, Query(description="nextCursor of the page before")]
Limit = Annotated[int, Query(ge=1, le=500)]
NextCursor = Annotated[str | None, Field(description="Give it as `cursor` for the next page; null on the last")]
