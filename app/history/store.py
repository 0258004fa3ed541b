"""The history's SQL: rows are added in the transaction of what they tell, and never changed."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import RowMapping, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.tables import history


async def record(connection: AsyncConnection, actor: str, action: str, **subject: Any) -> None:
    """Add one row; `subject` takes job_queue_id, job_id, agent_id, assignment_id and detail."""
    await connection.execute(insert(history).values(actor=actor, action=action, **subject))


async def record_all(connection: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    """Add rows in their order, all with the same columns."""
    if rows:
        await connection.execute(insert(history), rows)


async def page(
    connection: AsyncConnection, matching: dict[str, Any], after: int, limit: int
) -> Sequence[RowMapping]:
    """Rows past the id `after`, oldest first, whose columns equal `matching`."""
    query = select(history).where(history.c.id > after).order_by(history.c.id).limit(limit)
    for column, value in matching.items():
        query = query.where(history.c[column] == value)
    return (await connection.execute(query)).mappings().all()
