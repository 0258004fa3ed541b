"""The tree of job queues."""
