"""The SQL of each revision as a file of its own, for who lints or reads it: python alembic/sql.py DIR."""

import io
import sys
from pathlib import Path

from alembic import command
from alembic.script import ScriptDirectory

from app.db.migrations import config


def main(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for script in ScriptDirectory.from_config(config()).walk_revisions():
        text = io.StringIO()
        own = config()
        own.output_buffer = text
        command.upgrade(own, f"{script.down_revision or 'base'}:{script.revision}", sql=True)
        (directory / f"{script.revision}.sql").write_text(text.getvalue())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
