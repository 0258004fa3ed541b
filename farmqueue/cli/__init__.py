"""The command line of the farm: `farmqueue --help`."""

from farmqueue.cli.app import main

__all__ = ["main"]
