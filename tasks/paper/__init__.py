"""The paper's measurements. No tasks."""
