"""The rules of the farm, pure: no database, no clock, no randomness, no I/O."""
