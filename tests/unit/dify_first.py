"""Loads Dify's SDK, which replaces sockets and TLS and so has to come before requests."""

import warnings

with warnings.catch_warnings():
    # It uses what pydantic deprecates, and one of pytest's plugins loads ssl even before it: neither is ours.
    warnings.simplefilter("ignore")
    import dify_plugin  # noqa: F401
