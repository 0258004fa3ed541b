"""The options of `farmqueue submit`, each with what it means for a job."""

from typing import Annotated

import typer

from farmqueue.cli.options import finite

Title = Annotated[str | None, typer.Argument(metavar="TITLE", help="What people see.")]
Command = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="-- COMMAND [ARGS]...",
        help="What an agent runs for each task. {frame}, {first}, {last}, {frames}, {tile},"
        " {count}, {job_id}, {task_id} are filled in; {frame:04d} pads, {{ is a literal brace.",
    ),
]
File = Annotated[
    str | None,
    typer.Option(
        "--file", "-f", help='JSON: a job, a list of jobs or {"jobs": [...]}; - is stdin.'
    ),
]
Queue = Annotated[str | None, typer.Option("--queue", "-q", help="Path of its queue.")]
Frames = Annotated[str | None, typer.Option(help="For example 1-10x2,20.")]
Start = Annotated[
    float | None, typer.Option(callback=finite, help="First frame, instead of --frames.")
]
End = Annotated[float | None, typer.Option(callback=finite, help="Last frame.")]
By = Annotated[float | None, typer.Option(callback=finite, help="From one frame to the next.")]
Tiles = Annotated[int | None, typer.Option(help="Tasks per frame.")]
Batch = Annotated[int | None, typer.Option(help="Tasks given out together.")]
Contiguous = Annotated[
    bool | None,
    typer.Option("--contiguous/--not-contiguous", help="A batch stops at the first gap."),
]
Per = Annotated[
    str | None, typer.Option(metavar="task|batch", help="How often the command is run.")
]
Requeue = Annotated[
    int | None, typer.Option(help="So many failures of a task are tried again; -1: all.")
]
Parent = Annotated[
    list[int] | None, typer.Option(metavar="ID", help="A job that must be done first; repeatable.")
]
Env = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="Environment of the command; repeatable."),
]
Cwd = Annotated[str | None, typer.Option(help="Directory that the command runs in.")]
Timeout = Annotated[
    float | None,
    typer.Option(callback=finite, help="Seconds after which a run of the command has failed."),
]
Tag = Annotated[list[str] | None, typer.Option(help="An agent must have it; repeatable.")]
ExcludeTag = Annotated[
    list[str] | None, typer.Option(help="An agent must not have it; repeatable.")
]
Cpus = Annotated[int | None, typer.Option(help="Cpus that an agent must have.")]
Ram = Annotated[int | None, typer.Option(help="Memory that it must have free, in MB.")]
Paused = Annotated[bool, typer.Option("--paused", help="Give nothing of it out yet.")]
