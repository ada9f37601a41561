"""The machine room of a laptop: an embedded Postgres and Redis, and the runner behind `make demo`.

Nothing here is imported by the product; a server runs its own Postgres, Redis and process manager (docs/operations.md).
"""


class StackError(Exception):
    """Something that a person can put right; the message says what and how."""
