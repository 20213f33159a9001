"""Runs the plugin outside Dify: to try it, and to test it."""
