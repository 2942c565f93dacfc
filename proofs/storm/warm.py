"""All that a command or a worker imports, once, in the process that the others are forked from.

Whoever imports this gets the scorer of the storm and the faults of a local store.
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
