"""The machines that do the work."""
