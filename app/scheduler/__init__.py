"""Agents get work: polls, assignments, reports, leases."""
