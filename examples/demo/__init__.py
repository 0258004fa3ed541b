"""A farm on one machine: `python -m examples.demo`."""
