"""A renderer in the standard library alone: one day and one night above a fjord, as PNG frames."""
