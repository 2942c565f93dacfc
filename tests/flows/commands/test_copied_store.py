"""A copied store is told of once, however many days it has."""

from flows.commands.frame import first_then_count


def test_the_first_day_is_told_and_the_others_are_counted() -> None:
    more = "Likewise those of 2 more days, counted by category."
    for days, told in ((0, []), (1, ["day 0"]), (3, ["day 0", more])):
        said: list[str] = []
        with first_then_count(said.append) as tell:
            for day in range(days):
                tell(f"day {day}")
        assert said == told
