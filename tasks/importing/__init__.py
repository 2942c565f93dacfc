"""Folders as people publish them, brought into a store. No tasks."""
