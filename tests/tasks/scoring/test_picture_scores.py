"""Scores of pictures."""

from typing import cast

import numpy as np

from tasks.scoring.picture_scores import score_pictures
from tasks.worker.picture_reader import LoadedPicture
from tasks.worker.scorer import Scorer


def test_results_keep_no_array_as_large_as_a_picture() -> None:
    """A batch's results stay in memory until it is written, and each aligned image counts other pixels."""
    picture = LoadedPicture(None, (4, 4), "digest", "ok", None, counted=np.ones((4, 4), np.bool_))
    (result,) = score_pictures(cast(Scorer, None), [picture])
    assert result.loaded.counted is None and result.loaded.digest == "digest"
