"""Numbers with their nouns, as a terminal shows them."""


def counted(number: int, noun: str) -> str:
    """Such as '1 image', '3,000 images'."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
