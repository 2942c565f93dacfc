"""Whether a folder's word is new, and whether it holds against people's."""

from datetime import timedelta

import pytest

from storage.labels.labels import Label
from tasks.importing.folder_words import verdict
from tests.factories import NOW

MINUTE = timedelta(minutes=1)


def word(label: str, by: str = "import", kind: str | None = None, mask: str | None = None, minutes: int = 0) -> Label:
    return Label("images/cloth/x.png", label, mask, by, NOW + minutes * MINUTE, kind, "evaluation")


GOOD, HOLE = word("normal"), word("anomalous", kind="hole")
MASKED = word("anomalous", kind="hole", mask="m1")


@pytest.mark.parametrize(
    ("said", "before", "written"),
    [
        (GOOD, [], True),
        (GOOD, [GOOD], False),
        (GOOD, [GOOD, word("anomalous", "ann")], False),
        (GOOD, [word("anomalous", "ann")], False),  # people were first
        (GOOD, [word("normal", "ann")], True),  # they agree: purpose and kind are new
        (HOLE, [GOOD], True),
        (HOLE, [GOOD, word("normal", "ann")], True),  # moved since
        (word("anomalous", kind="stain"), [HOLE], True),
        (word("anomalous", kind="stain"), [HOLE, word("normal", "ann")], False),
        (MASKED, [HOLE], True),
        (MASKED, [HOLE, word("normal", "ann")], False),
        (MASKED, [HOLE, word("anomalous", "ann")], True),
        (MASKED, [HOLE, word("anomalous", "ann", mask="drawn")], False),
        (HOLE, [MASKED], False),  # a folder without a mask does not say that there is none
        (HOLE, [GOOD, word("unsure", "ann")], True),
    ],
)
def test_only_what_is_new_is_said_and_peoples_words_stand(said: Label, before: list[Label], written: bool) -> None:
    assert (verdict(said, before).word is not None) == written


def test_a_new_word_comes_after_all_others_even_of_a_clock_that_runs_ahead() -> None:
    late = word("normal", "ann", minutes=99)
    found = verdict(HOLE, [GOOD, late])
    assert found.word is not None and found.word.labelled_at > late.labelled_at
    assert found.remark == "now anomalous (hole), before normal"


def test_a_word_that_agrees_keeps_the_mask_that_is_known() -> None:
    found = verdict(word("anomalous", kind="stain"), [MASKED])
    assert found.word is not None and (found.word.mask_key, found.word.kind) == ("m1", "stain")
    agreed = verdict(word("anomalous"), [word("anomalous", "ann", kind="scratch", mask="drawn")]).word
    assert agreed is not None and (agreed.mask_key, agreed.kind) == ("drawn", "scratch")


@pytest.mark.parametrize(
    ("label", "remark"), [("normal", "stay normal, as ann said"), ("withdrawn", "stay withdrawn, as ann said")]
)
def test_who_said_otherwise_is_named(label: str, remark: str) -> None:
    assert verdict(HOLE, [HOLE, word(label, "ann", minutes=1)]).remark == remark
