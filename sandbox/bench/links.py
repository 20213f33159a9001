"""The ways to the stand-in for MemOS: plain, with TLS, and far away."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import trustme

from sandbox.bench import stand_in
from sandbox.bench.helper import Helper
from sandbox.bench.replies import USUAL, Counts


@dataclass(frozen=True)
class Link:
    """A way to the stand-in.

    Args:
        port: Where it begins.
        round_trip: How long it is, in seconds; None means HTTP without TLS.
    """

    port: int
    round_trip: float | None

    @property
    def name(self) -> str:
        """What people call it."""
        return "HTTP" if self.round_trip is None else f"TLS, {1000 * self.round_trip:g} ms"

    def url(self, counts: Counts = USUAL, seconds: float = 0) -> str:
        """The URL of a MemOS there that thinks for `seconds`, and remembers `counts` memories."""
        return stand_in.address(self.port, counts, secure=self.round_trip is not None, seconds=seconds)


@contextlib.contextmanager
def links(folder: Path, round_trips: Sequence[float]) -> Iterator[tuple[list[Link], Path]]:
    """Open the plain way, and one with TLS for each round trip.

    Yields:
        The links, the plain one first, and the certificate of the authority that vouches for the others.
    """
    authority = trustme.CA()
    trusted, own = folder / "authority.pem", folder / "server.pem"
    authority.cert_pem.write_to_path(trusted)
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(own)
    with contextlib.ExitStack() as stack:
        plain = stack.enter_context(Helper("sandbox.bench.stand_in"))
        secure = stack.enter_context(Helper("sandbox.bench.stand_in", str(own)))
        found = [Link(plain.port, None)]
        for seconds in round_trips:
            far = Helper("sandbox.bench.relay", str(secure.port), str(seconds))
            found.append(Link(stack.enter_context(far).port if seconds else secure.port, seconds))
        yield found, trusted
