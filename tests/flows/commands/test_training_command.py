"""What `rd-inspect train` says at its end."""

import pytest

from flows.commands.tables.training import training_table
from flows.commands.training import next_command
from flows.training import TrainingRun
from tasks.training.fitted_model import FittedModel


@pytest.mark.parametrize(
    ("champions", "said"),
    [
        ([True, True], "rd-inspect inspect --run-date DATE"),
        ([True, False], "rd-inspect backfill --from DATE --to DATE --category part1 --model v1"),
    ],
)
def test_a_candidate_is_asked_for_by_its_name_since_no_night_is_scored_by_it(
    champions: list[bool], said: str
) -> None:
    fitted = [
        FittedModel(f"part{i}", f"v{i}", "padim", 20, 4, 4, 0, 0, "1 step", 0.1, 1.0, False, champion)
        for i, champion in enumerate(champions)
    ]
    assert next_command(fitted) == said
    notes = training_table(TrainingRun("run", tuple(fitted)), "s3://plant").notes
    promote = "rd-inspect promote --category part1 --version v1"
    assert [note.endswith(promote) for note in notes] == [True] * champions.count(False)
