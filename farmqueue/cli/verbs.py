"""Command groups such as `job`, where what is no verb names the thing to show."""

from typing import Any

from typer.core import TyperGroup


class ShownByDefault(TyperGroup):
    """`farmqueue job 12` is short for `farmqueue job show 12`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        # A word that is no verb is left to the group, which says so and suggests the nearest.
        if args and args[0] != "--help" and not args[0].replace("-", "").isidentifier():
            args = ["show", *args]
        return super().parse_args(ctx, args)
