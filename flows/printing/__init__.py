"""Output of commands: tables, folded text, pipes, files of rows."""
