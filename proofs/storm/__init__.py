"""The crash storm: nights and backfills that are killed, cut off or run concurrently, and lose nothing."""
