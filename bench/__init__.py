"""Measures the plugin beside the least that a call can cost, and beside what it usually costs."""
