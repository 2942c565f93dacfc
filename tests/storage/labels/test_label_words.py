"""What people call good and bad parts."""

from storage.labels.labels import WORDS
from storage.labels.words import CHOICES, plain_choice


def test_every_choice_is_a_word_and_written_plainly() -> None:
    assert set(CHOICES.values()) <= set(WORDS)
    assert [choice for choice in CHOICES if plain_choice(choice) != choice] == []
    assert [plain_choice(text) for text in (" OK ", "Not-OK", "defect_free", "n.g.")] == [
        "ok", "not ok", "defect free", "n g",
    ]  # fmt: skip
