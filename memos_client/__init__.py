"""A client for MemOS, the memory service: its managed cloud and its open-source server."""
