"""Thin watchers: collect, call a pure function, write."""
