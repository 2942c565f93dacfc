"""Words for good parts and defects in labelling tools and folder names."""

import re
import unicodedata
from collections.abc import Mapping

from storage.errors import StorageError

CHOICES = {
    "normal": "normal", "good": "normal", "ok": "normal", "okay": "normal", "pass": "normal", "passed": "normal",
    "no defect": "normal", "defect free": "normal",
    "anomalous": "anomalous", "anomaly": "anomalous", "abnormal": "anomalous", "defect": "anomalous",
    "defective": "anomalous", "bad": "anomalous", "ng": "anomalous", "nok": "anomalous", "ko": "anomalous",
    "not ok": "anomalous", "not good": "anomalous", "no good": "anomalous", "fail": "anomalous",
    "failed": "anomalous",
    "unsure": "unsure", "unclear": "unsure",
}  # fmt: skip
"""word of storage.labels.labels by choice, in lower case with single spaces"""


def meanings_of(further: Mapping[str, str]) -> dict[str, str]:
    """CHOICES and further ones. Raises StorageError for two with the same spelling."""
    meanings: dict[str, tuple[str, str]] = {}
    for choice, word in further.items():
        plain = plain_choice(choice) or choice.strip()  # of signs alone, such as a tick
        other, meaning = meanings.setdefault(plain, (choice, word))
        if meaning != word:
            raise StorageError(
                f"{other!r} and {choice!r} are the same, because signs and case do not count: --word gives {meaning} "
                f"and {word} for it, so nothing was read. Give one."
            )
    return {**CHOICES, **{plain: word for plain, (_, word) in meanings.items()}}


def plain_choice(text: str) -> str:
    """`text` in the spelling of CHOICES: 'Not-OK ' is 'not ok'."""
    return " ".join(re.split(r"[\W_]+", unicodedata.normalize("NFKC", text).casefold())).strip()
