"""Who did what to which queue, job, task, assignment, when."""
