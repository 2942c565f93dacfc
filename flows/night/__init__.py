"""Parts of every night: scoring of batches, and the reports at its end."""
