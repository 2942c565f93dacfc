"""Reports as HTML and Markdown from tables and arrays. No IO, no torch, no Prefect."""
