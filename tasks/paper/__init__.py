"""The paper's benchmark. No tasks."""
