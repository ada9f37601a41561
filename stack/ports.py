"""Free ports on the loopback interface."""

from __future__ import annotations

import random
import socket

from stack import StackError

LOOPBACK = "127.0.0.1"


def listen(port: int) -> socket.socket:
    """A listening socket on 127.0.0.1:`port`. Raises OSError when the port is taken."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((LOOPBACK, port))
        sock.listen(128)
    except OSError:
        sock.close()
        raise
    return sock


def is_free(port: int) -> bool:
    """Whether nobody listens on 127.0.0.1:`port`."""
    try:
        listen(port).close()
    except OSError:
        return False
    return True


def hidden_port() -> int:
    """A free port for a service that nobody types by hand.

    It lies below 32768, where Linux begins to take the ports of outgoing connections, so that none gets it meanwhile.
    """
    for _ in range(200):
        port = random.randint(20_000, 32_000)  # noqa: S311 - not a secret
        if is_free(port):
            return port
    raise StackError("No free port was found between 20000 and 32000.")
