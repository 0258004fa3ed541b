"""The page for operators and artists, served at `/`. It does what the API does, by its services."""
