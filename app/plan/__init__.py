"""The tree as a file: what is different in the farm, and making it the same."""
