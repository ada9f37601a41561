"""Free ports on the loopback interface."""

from __future__ import annotations

import atexit
import random
import socket
import sys

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
    """A free port for a service that nobody types by hand, kept for it until this process ends.

    It lies below 32768, where Linux begins to take the ports of outgoing connections, so that none gets it meanwhile.
    """
    for _ in range(200):
        port = random.randint(20_000, 32_000)  # noqa: S311 - not a secret
        try:
            _keep(port)
        except OSError:
            continue
        return port
    raise StackError("No free port was found between 20000 and 32000.")


_kept: list[socket.socket] = []


@atexit.register
def _let_go() -> None:
    for sock in _kept:
        sock.close()


def _keep(port: int) -> None:
    """Bind `port` and never listen on it. Raises OSError when it is taken, or kept by another process.

    Only SO_REUSEADDR, which servers set and we do not until we have it, lets a socket bind beside one that does not
    listen. So the server that the port is for gets it, and whoever looks for a port as we do does not.
    Source: https://man7.org/linux/man-pages/man7/socket.7.html
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.bind((LOOPBACK, port))
    except OSError:
        sock.close()
        raise
    if sys.platform == "linux":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _kept.append(sock)
    else:  # where two sockets may not share an address, it is only looked for
        sock.close()
