"""The audit: what is stored against a recount of it, and the history against the rules."""
