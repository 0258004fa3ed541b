"""A release to come: this code in a folder of its own, with one more revision."""

import asyncio
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from app.db.schema import HEAD

HERE = Path(__file__).parents[2]
NEXT = f"{int(HEAD) + 1:04d}"

REVISION = '''"""one more."""

from alembic import op

revision = "{next}"
down_revision = "{head}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    {steps}
'''

# What the release before runs on as well.
EXPAND = """
    op.execute("ALTER TABLE jobs ADD COLUMN IF NOT EXISTS colour text DEFAULT 'red' NOT NULL")
    op.execute("ALTER TABLE tasks ADD COLUMN IF NOT EXISTS colour text")
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS ix_tasks_colour")
        op.execute("CREATE INDEX CONCURRENTLY ix_tasks_colour ON tasks (colour)")
"""
# What it does not run on.
CONTRACT = f"""op.execute("UPDATE schema_fits SET runs_from = '{NEXT}'")"""  # noqa: S608


@dataclass(frozen=True)
class Release:
    root: Path

    @property
    def environ(self) -> dict[str, str]:
        """What makes a process run this release, wherever it is started."""
        return {"PYTHONPATH": str(self.root), "PYTHONSAFEPATH": "1"}

    async def migrate(self, database: str) -> tuple[int, str]:
        """`farmqueue migrate`: its exit code, and what it said."""
        found = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "farmqueue", "migrate"],
            env={**os.environ, **self.environ, "FARMQUEUE_DATABASE_URL": database},
            check=False,
            capture_output=True,
            text=True,
        )
        return found.returncode, found.stderr


def release(root: Path, steps: str) -> Release:
    """The next one, whose revision does this."""
    for name in ("app", "farmqueue", "alembic"):
        shutil.copytree(HERE / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    text = REVISION.format(next=NEXT, head=HEAD, steps=steps.strip())
    (root / "alembic/versions/one_more.py").write_text(text)
    schema = root / "app/db/schema.py"
    schema.write_text(schema.read_text().replace(f'HEAD = "{HEAD}"', f'HEAD = "{NEXT}"'))
    return Release(root)
