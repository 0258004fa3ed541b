"""The servers and services of the chaos suite."""

from tests.chaos.conftest import chance, cluster, stage

__all__ = ["chance", "cluster", "stage"]
