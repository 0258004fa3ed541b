"""Ids of tasks: the job's id and the task's ordinal in one number, opaque to whoever calls."""

_ORDINALS = 2**20  # more than a job can have tasks


def task_id(job_id: int, ordinal: int) -> int:
    return job_id * _ORDINALS + ordinal


def split(task: int) -> tuple[int, int]:
    """The job's id and the ordinal that a task's id stands for."""
    return divmod(task, _ORDINALS)
