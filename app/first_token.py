"""The first admin token: of the environment, or made and kept beside the embedded database."""

import os
import secrets
from pathlib import Path

import structlog
from pydantic import SecretStr

from app.settings import Settings

FILE = "admin-token"
SHORT = 32

log = structlog.get_logger()


def ensured(settings: Settings) -> Settings:
    """The settings, with an admin token where the database is the embedded one."""
    if settings.admin_token is not None:
        if len(settings.admin_token.get_secret_value()) < SHORT:
            log.warning("admin_token_is_short", advice="openssl rand -hex 32 makes a good one")
        return settings
    if settings.database_url is not None:
        return settings
    return settings.model_copy(update={"admin_token": SecretStr(_kept(settings.data_dir))})


def _kept(data_dir: Path) -> str:
    """The token in the data directory, made where there is none; for this user's eyes alone."""
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = data_dir / FILE
    for _ in range(2):
        try:
            if found := file.read_text(encoding="ascii").strip():
                return found
        except FileNotFoundError:
            pass
        _make(file)
    return file.read_text(encoding="ascii").strip()


def _make(file: Path) -> None:
    """Whole or not at all, and of two that start at once the second finds the first one's."""
    fresh = file.with_name(f"{FILE}.{os.getpid()}")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w", encoding="ascii") as out:
        out.write(f"{secrets.token_hex(32)}\n")
    if file.exists() and not file.read_text(encoding="ascii").strip():
        file.unlink()
    try:
        os.link(fresh, file)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
    log.warning("admin_token_made", file=str(file))
