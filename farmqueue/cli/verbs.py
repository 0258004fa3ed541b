"""Command groups such as `job`, where what is no verb names the thing to show."""

from typing import Any, NoReturn

import typer
from typer.core import TyperGroup


class ShownByDefault(TyperGroup):
    """`farmqueue job 12` is short for `farmqueue job show 12`, and so is `job --json 12`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and self._is_shown(ctx, args):
            args = ["show", *args]
        return super().parse_args(ctx, args)

    def _is_shown(self, ctx: Any, args: list[str]) -> bool:
        first = args[0]
        if first == "--help":
            return False
        if first.startswith("-"):
            if verb := next((word for word in args if word in self.commands), None):
                misplaced(ctx, first.partition("=")[0], verb)
            return True
        # A word that is no verb is left to the group, which says so and suggests the nearest.
        return not first.replace("-", "").isidentifier()


def misplaced(ctx: typer.Context, option: str, verb: str) -> NoReturn:
    """End with wrong usage: an option stands before the verb that it is meant for."""
    ctx.fail(f"{option} stands before {verb}: write the options of {verb} after it")
