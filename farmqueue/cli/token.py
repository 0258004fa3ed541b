"""`farmqueue token …`: who may do what on the farm."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from farmqueue.cli.connection import connected, queue_id
from farmqueue.cli.options import AsJson, Url, given
from farmqueue.cli.output import print_json, print_rows
from farmqueue.tokens import Token

token = typer.Typer(no_args_is_help=True)

_COLUMNS = ("id", "role", "name", "valid", "queue", "agent", "uses", "expires", "last used")
_UNITS = {"m": 60, "h": 3_600, "d": 86_400}


@token.command()
def create(
    context: typer.Context,
    role: Annotated[
        str, typer.Argument(help="admin, operator, submitter, viewer, metrics or join.")
    ],
    name: Annotated[str, typer.Argument(help="Whose it is; the history shows it.")],
    queue: Annotated[
        str | None, typer.Option(help="operator, join: only for this queue and below.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(metavar="30m|12h|7d", help="How long it lives.")
    ] = None,
    uses: Annotated[int | None, typer.Option(min=1, help="join: good for so many agents.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Make a token, and print it: it is shown this once."""
    life = None if expires is None else _expiry(expires)
    with connected(context, url) as client:
        below = None if queue is None else queue_id(client, queue)
        fields = given(expires_at=life, job_queue_id=below, uses=uses)
        made = client.create_token(role, name, **fields)
    if as_json:
        print_json(made)
    else:
        typer.echo(made["token"])


@token.command(name="list")
def list_all(
    context: typer.Context,
    role: Annotated[str | None, typer.Option(help="Only tokens of this role.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """The tokens that were made; never the tokens themselves."""
    with connected(context, url) as client:
        found = list(client.tokens(role=role))
    if as_json:
        print_json(found)
    else:
        print_rows(_COLUMNS, map(_row, found))


@token.command()
def revoke(
    context: typer.Context,
    token_ids: Annotated[list[int], typer.Argument(metavar="ID...")],
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """End tokens at once. --json prints their ids."""
    with connected(context, url) as client:
        for token_id in token_ids:
            client.revoke_token(token_id)
    if as_json:
        print_json(token_ids)


def _expiry(life: str) -> str:
    form = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", life)
    if form is None:
        raise typer.BadParameter(f"{life!r} is no time such as 30m, 12h or 7d")
    seconds = int(form[1]) * _UNITS[form[2]]
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def _row(found: Token) -> tuple[Any, ...]:
    return (
        found["id"],
        found["role"],
        found["name"],
        found["valid"],
        found["job_queue_id"],
        found["agent_id"],
        found["uses_left"],
        found["expires_at"],
        found["last_used_at"],
    )
