"""The only reader of the environment: every setting, its unit, its default."""

import sys
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Seconds = Annotated[float, Field(gt=0, le=86_400)]


class Settings(BaseSettings):
    """Settings from `FARMQUEUE_*`; a wrong one raises `pydantic.ValidationError` at start."""

    model_config = SettingsConfigDict(
        env_prefix="FARMQUEUE_", frozen=True, extra="ignore", hide_input_in_errors=True
    )

    database_url: Annotated[
        str | None,
        Field(description="PostgreSQL 15 or newer, postgresql://…; unset: the embedded one"),
    ] = None
    data_dir: Annotated[Path, Field(description="Where the embedded PostgreSQL keeps its data")] = (
        Path(".farmqueue")
    )
    admin_token: Annotated[
        SecretStr | None,
        Field(description="The first admin token; unset on the embedded database: one is made"),
    ] = None
    agent_token_days: Annotated[
        int, Field(ge=1, le=3_650, description="How long an agent's token lives, in days")
    ] = 30
    token_overlap_seconds: Annotated[
        float,
        Field(
            ge=0, le=86_400, description="How long an agent's former token lives beside a new one"
        ),
    ] = 3_600.0
    failed_tokens_per_minute: Annotated[
        int, Field(ge=1, description="Wrong tokens of one address, before it must wait")
    ] = 60
    session_hours: Annotated[
        float,
        Field(gt=0, le=8_760, description="How long who logged in to the page stays so, in hours"),
    ] = 12.0
    allowed_hosts: Annotated[
        str, Field(description="Host names that the service answers to, with commas; *: any")
    ] = "*"
    body_seconds: Annotated[
        Seconds, Field(description="How long a request's body may take to arrive")
    ] = 30.0
    host: Annotated[str, Field(description="Address to listen on")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535, description="Port to listen on")] = 8000
    root_path: Annotated[str, Field(description="Prefix that a proxy in front strips")] = ""
    pool_size: Annotated[
        int, Field(ge=3, le=1_000, description="Database connections of one process")
    ] = 10
    lease_seconds: Annotated[
        Seconds,
        Field(description="Silence after which an agent is offline and its work goes on elsewhere"),
    ] = 60.0
    max_lost_leases: Annotated[
        int,
        Field(
            ge=0,
            le=1_000_000,
            description="Agents that may go silent with a task before it is set aside; 0: any",
        ),
    ] = 5
    reap_seconds: Annotated[
        Seconds, Field(description="How often leases that ran out are looked for")
    ] = 2.0
    fallback_poll_seconds: Annotated[
        Seconds, Field(description="How often waiting agents are tried again without any hint")
    ] = 5.0
    lock_timeout_seconds: Annotated[
        Seconds, Field(description="Longest wait for a lock before the caller gets a 503")
    ] = 10.0
    history_days: Annotated[
        int,
        Field(
            ge=0,
            le=36_500,
            description="Days for which the history and ended assignments are kept; 0: for ever",
        ),
    ] = 90
    max_body_bytes: Annotated[int, Field(ge=1_024, description="Largest request body")] = 10_000_000
    log_format: Annotated[str, Field(pattern="^(console|json)$", description="console or json")] = (
        "console"
    )

    log_level: Annotated[
        str,
        Field(
            pattern="^(debug|info|warning)$",
            description="debug, info or warning; debug has a line for each request",
        ),
    ] = "info"
    audit_seconds: Annotated[
        float,
        Field(ge=0, le=86_400, description="How often what is stored is recounted; 0: never"),
    ] = 300.0
    queue_metrics: Annotated[
        bool, Field(description="Whether /metrics has the figures of each queue")
    ] = True

    simulate_seconds: Annotated[
        float,
        Field(ge=1, le=600, description="How long one simulation may take"),
    ] = 60.0
    simulate_memory_mb: Annotated[
        int,
        Field(ge=256, le=1_000_000, description="Memory of one simulation, and of who makes plans"),
    ] = 1_024
    simulate_at_once: Annotated[
        int,
        Field(ge=0, le=64, description="Simulations of one process at the same time; 0: none"),
    ] = 1
    estimates: Annotated[
        bool, Field(description="Whether jobs show when they are expected to begin and to end")
    ] = True

    @classmethod
    def from_environment(cls) -> "Settings":
        """The settings, or an end of the process that names each variable that is wrong."""
        try:
            return cls()
        except ValidationError as wrong:
            for error in wrong.errors():
                name = "FARMQUEUE_" + "_".join(map(str, error["loc"])).upper()
                message = error["msg"].removeprefix("Value error, ")
                print(f"farmqueue: {name}: {message}", file=sys.stderr)  # noqa: T201
            raise SystemExit(2) from None

    @property
    def heartbeat_seconds(self) -> float:
        """How often an agent should call: three chances within its lease."""
        return self.lease_seconds / 3

    @property
    def silent_seconds(self) -> float:
        """Longer than any wait for a lock: a connection that is silent by then is dead."""
        return self.lock_timeout_seconds + 20

    @property
    def hosts(self) -> frozenset[str] | None:
        """The host names that are answered to; None: any."""
        if self.allowed_hosts.strip() == "*":
            return None
        named = (name.strip().lower() for name in self.allowed_hosts.split(","))
        return frozenset(filter(None, named))

    @field_validator("admin_token")
    @classmethod
    def _sendable(cls, token: SecretStr | None) -> SecretStr | None:
        """Whatever can stand in a header; nothing at all is no token."""
        if token is None or not token.get_secret_value():
            return None
        value = token.get_secret_value()
        if not (value.isascii() and value.isprintable()) or " " in value:
            raise ValueError(
                "must be printable ASCII without blanks: openssl rand -hex 32 makes one"
            )
        return token

    @field_validator("database_url")
    @classmethod
    def _driver(cls, url: str | None) -> str | None:
        """Accept the URL forms that operators paste, and name the driver that is used."""
        if not url:
            return None
        scheme, _, rest = url.partition("://")
        if scheme not in {"postgres", "postgresql", "postgresql+asyncpg"}:
            raise ValueError("must begin with postgresql://; no other database is supported")
        return f"postgresql+asyncpg://{rest}"
