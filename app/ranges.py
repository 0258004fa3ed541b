"""How large what people give may be, for the schemas and the database alike."""

MAX_INT = 2**31 - 1
MAX_PRIORITY = 1_000
MAX_WEIGHT = 1_000_000
MAX_TASKS = 1_000_000
MAX_DEPTH = 32
MAX_NAME = 255
