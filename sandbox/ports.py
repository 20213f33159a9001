"""Chooses ports for servers that start later, or again."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def reserved_port() -> Iterator[int]:
    """A port of 127.0.0.1 that Linux gives to no one who asks for any port or connects to somewhere.

    A server that asks for this one gets it if it sets SO_REUSEADDR, as servers in Python do (socket(7): two
    sockets may be bound to a port as long as only one listens). While none does, connections are refused.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]
