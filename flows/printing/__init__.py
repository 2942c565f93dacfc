"""What commands print with: tables, folded text, pipes, files of rows."""
