"""Measures the plugin beside the least and the most that the same call could cost."""
