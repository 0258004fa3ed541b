"""Tests of what operators deploy beside the service."""
