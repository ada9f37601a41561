"""What row-level security costs: `python -m benchmarks.row_security [--rounds N]`, on the heaviest page and on one row.

Fifty workspaces with 400 posts each; the list of posts of one of them, by Django's own client, in turn with policies
and scopes and without both. The figures are of the process, without a web server.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks.running import Demo, machine, running_demo

if TYPE_CHECKING:
    from django.test import Client

WORKSPACES = 50
POSTS = 400
BLOCK = 25
WARM_UP = 5


def main() -> None:
    """Print the median milliseconds of both, and their difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=150)
    given = parser.parse_args()
    with running_demo() as demo:
        client, path = _fill(demo)
        _compare("the list of posts", lambda: _open(client, path), given.rounds)
        _compare("one row by its key", _one_row(), 20 * given.rounds)
    print(machine())


def _compare(name: str, work: Callable[[], object], rounds: int) -> None:
    """In blocks of BLOCK, since switching makes the server forget its plans; the first ones of a block warm it up."""
    with_rules, without = [], []
    for _ in range(rounds // BLOCK + 1):
        with_rules += [_seconds(work) for _ in range(BLOCK)][WARM_UP:]
        with _no_rules():
            without += [_seconds(work) for _ in range(BLOCK)][WARM_UP:]
    first, second = statistics.median(with_rules) * 1000, statistics.median(without) * 1000
    print(f"{name}: {first:.3f} ms with, {second:.3f} ms without; {100 * (first / second - 1):+.1f} %")


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


@contextmanager
def _no_rules() -> Iterator[None]:
    """Switch the policies off, and send no scopes, for the length of the block."""
    from django.db import connection

    from accounts.row_security import tenant_tables

    def switch(verb: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "".join(f"ALTER TABLE {one} {verb} ROW LEVEL SECURITY;" for one in tenant_tables())
            )

    wrappers = connection.execute_wrappers[:]
    switch("DISABLE")
    connection.execute_wrappers.clear()
    try:
        yield
    finally:
        connection.execute_wrappers.extend(wrappers)
        switch("ENABLE")


def _fill(demo: Demo) -> tuple[Client, str]:
    from django.test import Client

    from accounts.models import Membership, Role, User
    from benchmarks.rows import make_connections, make_deliveries

    connections = make_connections(demo, WORKSPACES)
    make_deliveries(connections, WORKSPACES * POSTS, 1000)
    workspace = connections[0].workspace
    user = User.objects.create_user("reader@example.com")
    Membership.objects.create(workspace=workspace, user=user, role=Role.OWNER)
    client = Client(headers={"host": "127.0.0.1"})
    client.force_login(user)
    return client, f"/w/{workspace.slug}/posts/"


def _open(client: Client, path: str) -> None:
    if client.get(path).status_code != 200:
        raise RuntimeError(f"{path} did not open")


def _one_row() -> Callable[[], object]:
    from accounts.scopes import workspace_scope
    from publishing.models import Delivery

    first = Delivery.objects.order_by("pk").values_list("pk", "workspace_id")[0]

    def read() -> None:
        with workspace_scope(first[1]):
            Delivery.objects.get(pk=first[0])

    return read


if __name__ == "__main__":
    main()
