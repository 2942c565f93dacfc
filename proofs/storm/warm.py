"""Imports of commands and workers, made once in the process that the others are forked from.

Importing this module installs the storm's scorer and the faults of a local store.
"""

import distributed
import s3fs

import flows.backfill
import flows.cli
import flows.commands.failures
import flows.commands.tables.plant
import flows.inspection
import tasks.importing.import_folder
import tasks.training.fit_model
from proofs.storm import content_scorer, local_faults

__all__ = ["distributed", "flows", "s3fs", "tasks"]

content_scorer.install()
local_faults.install()
