"""What a worker process is and keeps. No tasks."""
