"""Parts of every night: the fan-out over batches, and the reports at its end."""
