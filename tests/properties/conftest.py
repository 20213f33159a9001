"""How long the property tests look, and the MemOS that they talk to.

`pytest tests/properties` tries 100 examples of each property, the same ones in every run;
`pytest tests/properties --hypothesis-profile=long` tries 15,000 new ones, and takes about half an hour. What
such a run finds stays in the tests, as an `@example` or a case of its own.
"""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, settings

from tests.properties.calls import Memos

EXAMPLES = 100

# To generate a large value is slow, and no fault of the code.
_USUAL = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=timedelta(seconds=10),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile("usual", _USUAL)
settings.register_profile("long", _USUAL, max_examples=15_000, derandomize=False)
settings.load_profile("usual")


@pytest.fixture(scope="module")
def memos() -> Iterator[Memos]:
    """One MemOS for all examples, which stands where HTTP would be."""
    memos = Memos()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("memos_client.client.send", memos.post)
        yield memos
