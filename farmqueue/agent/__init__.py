"""The reference agent: asks the farm for work, runs its commands, and reports what became of them.

`run` is a process with its slots, `slot` the life of one agent, `work` one assignment from its
first task to its last, `command` what a task's command line is, `process` and `family` how it is
run and how it ends.
"""

from farmqueue.agent.options import Options
from farmqueue.agent.run import run

__all__ = ["Options", "run"]
