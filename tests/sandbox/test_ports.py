"""A reserved port is kept for its server, before it starts and between two starts."""

import socket

import pytest

from sandbox.ports import reserved_port


def test_reserved_port_is_its_servers_and_refuses_connections_while_none_listens() -> None:
    with reserved_port() as port:
        address = ("127.0.0.1", port)
        for _start in range(2):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address)
            with socket.socket() as another, pytest.raises(OSError, match="Address already in use"):
                another.bind(address)  # on the terms on which the system gives out any port
            with socket.create_server(address) as server, socket.create_connection(address):
                server.accept()[0].close()
