import pytest

from reports import number_format


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0\u202f%"), (1, "100\u202f%"), (0.01, "1\u202f%"), (0.00732, "0.73\u202f%"), (0.0123, "1.2\u202f%"),
     (0.00001, "< 0.01\u202f%"), (None, "none")],
)  # fmt: skip
def test_percent(share, text):
    assert number_format.percent(share) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.416, "0.42 s"), (12.34, "12.3 s"), (83.4, "1 min 23 s"), (119.7, "2 min 00 s"), (7620, "2 h 07 min")],
)
def test_duration(seconds, text):
    assert number_format.duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.123456, "0.1235"), (12345.6, "1.235e+04"), (float("nan"), "nan"), (None, "none")],
)
def test_score(value, text):
    assert number_format.score(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.0004, "< 0.001"), (0.03846, "0.038"), (1.0, "1.000"), (None, "none")])
def test_p_value(value, text):
    assert number_format.p_value(value) == text


def test_counted():
    assert number_format.counted(1, "image") == "1 image"
    assert number_format.counted(12345, "image") == "12\u202f345 images"
