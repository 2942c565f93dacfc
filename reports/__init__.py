"""HTML and figures from tables and arrays. No IO of its own, no torch, no Prefect."""
