"""The state of a worker process. No tasks."""
