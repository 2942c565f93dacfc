"""The crash storm: nights and backfills that are killed, cut off and run into each other, and lose nothing."""
