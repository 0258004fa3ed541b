"""farmqueue's service: which job each agent of a farm works on next."""
