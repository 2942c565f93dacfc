import pytest

from reports.plain_text import shown


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("s3://AKIAIOSFODNN7EXAMPLE:wJalrXUt@plant/x", "wJalrXUt"),
        ("https://anna:pass%40word@minio.local:9000/", "anna"),
        ("aws_secret_access_key=wJalrXUt/K7 was refused", "wJalrXUt"),
        ("{'aws_secret_access_key': 'wJal rXUt'}", "rXUt"),
        ('"password": "hunter2"', "hunter2"),
        ("https://s3/x?X-Amz-Credential=me/1&X-Amz-Signature=0af9", "0af9"),
        ("https://s3/x?X-Amz-Security-Token=Fwo/Gz==&a=1", "Fwo"),
        ("no access for ASIAIOSFODNN7EXAMPLE here", "ASIAIOSFODNN7EXAMPLE"),
    ],
)
def test_credentials_are_taken_out(text, secret):
    assert secret not in shown(text)


@pytest.mark.parametrize(
    "text",
    [
        "s3://plant-7/inspect",
        "a token of thanks",
        "images/key/2026-11-21/Prüf \U0001f469\u200d\U0001f527.png",
        "a@b.png",
    ],
)
def test_other_text_stays_as_it_is(text):
    assert shown(text) == text


@pytest.mark.parametrize(
    ("text", "visible"),
    [
        ("gnp\u202e.exe", "gnp\\u202e.exe"),
        ("a\x00b\x1b[1m", "a\\x00b\\x1b[1m"),
        ("x\udcff.png", "x\\udcff.png"),
        ("a\tb", "a\\tb"),
    ],
)
def test_letters_that_hide_or_turn_text_round_become_visible(text, visible):
    assert shown(text) == visible
