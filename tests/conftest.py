"""Shared fixtures; pytest puts this folder on the path, so tests import `fakes`."""
