"""The commands put together."""

from typing import Annotated

import typer

from farmqueue import __version__
from farmqueue.cli import agent, agents, jobs, plans, queues, service, simulate, submit, top, watch
from farmqueue.cli import token as tokens
from farmqueue.cli.connection import GIVEN
from farmqueue.cli.exits import MEANINGS
from farmqueue.cli.why import why

app = typer.Typer(
    name="farmqueue",
    no_args_is_help=True,
    epilog=MEANINGS,
    pretty_exceptions_enable=False,  # the variables of a traceback may hold a token
)
_SERVICE, _WORK, _LOOK = "The farm's processes", "Jobs", "The tree and the agents"
_FILE = "The tree as a file"

app.command(rich_help_panel=_SERVICE)(service.serve)
app.command(rich_help_panel=_SERVICE)(service.migrate)
app.command(rich_help_panel=_SERVICE)(service.audit)
app.command(rich_help_panel=_SERVICE)(agent.agent)
app.command(rich_help_panel=_WORK)(submit.submit)
app.command(rich_help_panel=_WORK)(jobs.jobs)
app.add_typer(jobs.job, name="job", help="One job, or act on jobs.", rich_help_panel=_WORK)
app.command(rich_help_panel=_WORK)(watch.watch)
app.command(rich_help_panel=_LOOK)(top.top)
app.command(rich_help_panel=_LOOK)(top.tree)
app.command(rich_help_panel=_LOOK)(queues.queues)
app.add_typer(queues.queue, name="queue", help="One queue, or change it.", rich_help_panel=_LOOK)
app.command(rich_help_panel=_FILE)(plans.export)
app.command(rich_help_panel=_FILE)(plans.plan)
app.command(rich_help_panel=_FILE)(plans.apply)
app.command(rich_help_panel=_FILE)(plans.schema)
app.command(rich_help_panel=_LOOK)(simulate.simulate)
app.add_typer(agents.agents, name="agents", help="The agents.", rich_help_panel=_LOOK)
app.add_typer(why, name="why", help="Why something runs, or does not.", rich_help_panel=_LOOK)
app.add_typer(tokens.token, name="token", help="Who may do what.", rich_help_panel=_LOOK)


def main() -> None:
    """Run the command that the arguments name."""
    app()


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _farmqueue(
    context: typer.Context,
    token: Annotated[
        str | None,
        typer.Option("--token", help="Who you are; FARMQUEUE_TOKEN shows it to fewer people."),
    ] = None,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Queues of jobs for a render or compute farm: run the service, work for it, use it.

    Tables are for people; a pipe gets lines with tabs between fields and no header, or --json.

    FARMQUEUE_URL says where the service is, FARMQUEUE_TOKEN who you are. On the machine
    of a service with the embedded database its admin token is found in FARMQUEUE_DATA_DIR.
    """
    context.meta[GIVEN] = token
