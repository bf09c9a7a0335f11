"""How lists are asked for and answered: one page, and where the next one begins."""

from typing import Annotated

from fastapi import Query
from pydantic import Field

Cursor = Annotated[str | None, Query(description="nextCursor of the page before")]
NextCursor = Annotated[str | None, Field(description="Give it as `cursor` for the next page; null on the last")]
