"""What people call good and bad parts: one place for choices in a labelling tool and for names of folders."""

import re
import unicodedata

CHOICES = {
    "normal": "normal", "good": "normal", "ok": "normal", "okay": "normal", "pass": "normal", "passed": "normal",
    "no defect": "normal", "defect free": "normal",
    "anomalous": "anomalous", "anomaly": "anomalous", "abnormal": "anomalous", "defect": "anomalous",
    "defective": "anomalous", "bad": "anomalous", "ng": "anomalous", "nok": "anomalous", "ko": "anomalous",
    "not ok": "anomalous", "not good": "anomalous", "no good": "anomalous", "fail": "anomalous",
    "failed": "anomalous",
    "unsure": "unsure", "unclear": "unsure",
}  # fmt: skip
"""the word of storage.labels that a choice means, in lower case, its words apart by a space"""


def plain_choice(text: str) -> str:
    """`text` as CHOICES writes it: 'Not-OK ' is 'not ok'."""
    return " ".join(re.split(r"[\W_]+", unicodedata.normalize("NFKC", text).casefold())).strip()
