"""Why things are as they are: what runs, what does not, and what would have to change."""
