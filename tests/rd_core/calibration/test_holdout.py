import pytest
from hypothesis import given
from hypothesis import strategies as st

from rd_core.calibration.holdout import Split, parts_of, split, split_old_and_new, with_learned
from rd_core.errors import ConfigError, TooFewNormals

EXPOSURES = r"exp(?P<view>\d+)_num_(?P<serial>\d+)"


def test_without_a_pattern_each_image_is_a_part():
    assert parts_of(["a.png", "b.png"], None) == ["a.png", "b.png"]


def test_a_named_part_is_taken_and_the_rest_stand_alone():
    names = ["part7_1.png", "part7_2.png", "part8_1.png", "other.png"]
    assert parts_of(names, r"(?P<part>part\d+)_") == ["part7", "part7", "part8", "other.png"]


def test_a_new_part_begins_when_the_view_does_not_rise():
    names = ["exp5_num_40.jpg", "exp1_num_9.jpg", "exp2_num_10.jpg", "exp6_num_30.jpg", "exp1_num_35.jpg"]
    parts = parts_of(names, EXPOSURES)
    assert parts[1] == parts[2] == parts[3]  # serials 9, 10, 30: views 1, 2, 6
    assert parts[0] == parts[4] != parts[1]  # serials 35, 40: views 1, 5


def test_equal_views_are_two_parts():
    first, second = parts_of(["exp3_num_1.jpg", "exp3_num_2.jpg"], EXPOSURES)
    assert first != second


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        (r"(\d+)", "name no part"),
        (r"(?P<view>\d+)", "name no part"),
        (r"(?P<part>", "no regular expression"),
        (r"(?P<part>zzz)", "matches none"),
        (r"(?P<view>[a-z])(?P<serial>\d)", "no number"),
    ],
)
def test_a_pattern_that_tells_no_parts_is_refused(pattern, says):
    with pytest.raises(ConfigError, match=says):
        parts_of(["a1.png", "b2.png"], pattern)


@given(st.lists(st.integers(0, 40), min_size=8, max_size=200), st.integers(0, 5))
def test_a_split_keeps_parts_whole_and_leaves_no_set_empty(numbers, seed):
    parts = [f"p{number}" for number in numbers]
    names = [f"{i}.png" for i in range(len(parts))]
    if len(set(parts)) < 3:
        with pytest.raises(TooFewNormals):
            split(names, parts, seed=seed)
        return
    result = split(names, parts, seed=seed)
    sets = [result.train, result.early_stop, result.calibration]
    assert all(sets)
    assert sorted(i for chosen in sets for i in chosen) == list(range(len(names)))
    in_parts = [{parts[i] for i in chosen} for chosen in sets]
    assert not (in_parts[0] & in_parts[1] or in_parts[0] & in_parts[2] or in_parts[1] & in_parts[2])


@pytest.mark.parametrize(
    ("count", "expected"),
    [(9, (2, 2, 5)), (12, (3, 3, 6)), (30, (3, 7, 20)), (46, (5, 11, 30)), (4000, (400, 1000, 2600))],
)
def test_each_set_has_its_share_of_the_images_rounded_and_no_bound_rests_on_one(count, expected):
    names = [f"{i}.png" for i in range(count)]
    for seed in range(5):
        result = split(names, names, seed=seed)
        assert (len(result.early_stop), len(result.calibration), len(result.train)) == expected


@pytest.mark.parametrize("count, stop", [(3, 1), (4, 2), (5, 2), (6, 3), (60, 6)])
def test_without_calibration_all_but_early_stop_trains(count, stop):
    parts = [f"p{i % count}" for i in range(3 * count)]
    names = [f"{i}.png" for i in range(len(parts))]
    result = split(names, parts, calibration=0)
    assert result.calibration == ()
    assert sorted(result.train + result.early_stop) == list(range(len(names)))
    assert len({parts[i] for i in result.early_stop}) == stop


@given(st.lists(st.integers(1, 12), min_size=12, max_size=60), st.integers(0, 5))
def test_parts_of_many_images_count_as_many(sizes, seed):
    """A bound lies where one part more or less would be farther from the share, beyond the least number of parts."""
    parts = [f"p{number}" for number, size in enumerate(sizes) for _ in range(size)]
    result = split(parts, parts, early_stop=0.2, calibration=0.3, seed=seed)
    held_out = len(split(parts, parts, calibration=0, test=0.2, seed=seed).test)
    assert held_out in sizes or abs(held_out - 0.2 * len(parts)) <= max(sizes) / 2
    for share, chosen in ((0.2, result.early_stop), (0.3, result.calibration)):
        of_parts = len({parts[i] for i in chosen})
        assert of_parts >= 3
        assert of_parts == 3 or abs(len(chosen) - share * len(parts)) <= max(sizes) / 2


@given(st.integers(12, 150), st.sampled_from([1, 5, 50]), st.integers(0, 9))
def test_added_parts_move_others_at_the_bounds_alone(count, added, seed):
    names = [f"{i}.png" for i in range(count + added)]
    before, after = split(names[:count], names[:count], seed=seed), split(names, names, seed=seed)
    stop, stop_after = set(before.early_stop), {i for i in after.early_stop if i < count}
    held, held_after = ({*stop, *before.calibration}, {*stop_after, *(i for i in after.calibration if i < count)})
    for one, other, most in ((stop, stop_after, added), (held, held_after, added + 1)):
        assert one <= other or other <= one
        assert len(one ^ other) <= most


def test_of_200_normals_50_more_move_a_few():
    names = [f"{i}.png" for i in range(250)]
    moved = []
    for seed in range(40):
        before, after = split(names[:200], names[:200], seed=seed), split(names, names, seed=seed)
        kept = sum(len({*getattr(before, s)} & {*getattr(after, s)}) for s in ("train", "early_stop", "calibration"))
        moved.append(200 - kept)
    assert sum(moved) / len(moved) < 6
    assert max(moved) <= 12


def test_the_order_of_names_does_not_matter_but_the_seed_does():
    names = [f"{i}.png" for i in range(100)]
    chosen = {names[i] for i in split(names, names).calibration}
    backwards = names[::-1]
    assert {backwards[i] for i in split(backwards, backwards).calibration} == chosen
    assert {names[i] for i in split(names, names, seed=1).calibration} != chosen


def test_too_few_normals_are_refused_with_the_number_wanted():
    with pytest.raises(TooFewNormals, match=r"7 normal images.*at least 8"):
        split(list("abcdefg"), list("abcdefg"))


@pytest.mark.parametrize("shares", [(0.0, 0.2, 0), (0.5, 0.5, 0), (0.2, -0.1, 0), (0.2, 0.2, 0.6), (0.2, 0.2, -0.1)])
def test_shares_that_empty_a_set_are_refused(shares):
    names = [str(i) for i in range(10)]
    with pytest.raises(ConfigError):
        split(names, names, early_stop=shares[0], calibration=shares[1], test=shares[2])


@given(st.lists(st.integers(0, 40), min_size=8, max_size=120), st.integers(0, 5), st.floats(0.001, 0.6))
def test_a_test_set_takes_whole_parts_from_those_that_train_alone(numbers, seed, share):
    parts = [f"p{number}" for number in numbers]
    if len(set(parts)) < 3:
        return
    names = [f"{i}.png" for i in range(len(parts))]
    without, result = split(names, parts, seed=seed), split(names, parts, test=share, seed=seed)
    assert (result.early_stop, result.calibration) == (without.early_stop, without.calibration)
    assert sorted(result.train + result.test) == list(without.train)
    assert result.train
    in_train, in_test = ({parts[i] for i in chosen} for chosen in (result.train, result.test))
    assert not in_train & in_test
    assert bool(in_test) == (len({parts[i] for i in without.train}) > 1)
    larger = split(names, parts, test=share + 0.04, seed=seed)
    assert set(result.test) <= set(larger.test)


def test_without_a_share_there_is_no_test_set():
    names = [f"{i}.png" for i in range(100)]
    assert split(names, names).test == ()


def test_a_test_set_has_its_share():
    names = [f"{i}.png" for i in range(4000)]
    assert len(split(names, names, test=0.1).test) == 400
    assert len(split(names, names, test=1e-9).test) == 1


@given(
    st.lists(st.tuples(st.integers(0, 60), st.booleans()), min_size=8, max_size=150),
    st.integers(0, 5),
    st.sampled_from([0.0, 0.1, 0.2]),
)
def test_old_and_new_are_disjoint_by_part_and_complete(images, seed, share):
    parts, new = [f"p{number}" for number, _ in images], [is_new for _, is_new in images]
    if len(set(parts)) < 3:
        return
    names = [f"{i}.png" for i in range(len(parts))]
    split = split_old_and_new(names, parts, new, test=share, seed=seed)
    sets = [split.train, split.early_stop, split.calibration, split.test]
    assert sorted(i for chosen in sets for i in chosen) == list(range(len(names)))
    of_parts = [{parts[i] for i in chosen} for chosen in sets]
    assert sum(map(len, of_parts)) == len(set(parts))
    assert all(sets[:3])


def test_new_parts_are_shared_out_by_themselves_and_old_ones_keep_their_places():
    names = [f"{i}.png" for i in range(160)]
    new = [i >= 100 for i in range(160)]
    result = split_old_and_new(names, names, new, test=0.1)
    before = split(names[:100], names[:100], test=0.1)
    counts = [
        sum(new[i] for i in chosen) for chosen in (result.train, result.early_stop, result.calibration, result.test)
    ]
    assert counts == [27, 6, 21, 6]
    for name in ("train", "early_stop", "calibration", "test"):
        assert tuple(i for i in getattr(result, name) if not new[i]) == getattr(before, name)


def test_new_parts_stop_early_too_where_none_calibrate():
    names = [f"{i}.png" for i in range(160)]
    new = [i >= 100 for i in range(160)]
    result = split_old_and_new(names, names, new, test=0.1, calibration=0)
    assert result.calibration == ()
    assert [sum(new[i] for i in chosen) for chosen in (result.train, result.early_stop, result.test)] == [48, 6, 6]
    assert [sum(not new[i] for i in chosen) for chosen in (result.train, result.early_stop, result.test)] == [
        80,
        10,
        10,
    ]
    few = split_old_and_new(names, names, [i >= 155 for i in range(160)], test=0.1, calibration=0)
    assert few == split(names, names, test=0.1, calibration=0)


def test_a_part_seen_before_keeps_its_place_when_new_images_show_it():
    parts = [f"p{i}" for i in range(40)] * 2 + [f"q{i}" for i in range(20)]
    names = [f"{i}.png" for i in range(100)]
    split = split_old_and_new(names, parts, [i >= 40 for i in range(100)], test=0.1)
    for chosen in (split.train, split.early_stop, split.calibration, split.test):
        assert {i + 40 for i in chosen if i < 40} == {i for i in chosen if 40 <= i < 80}


def test_few_new_parts_are_placed_with_the_others():
    names = [f"{i}.png" for i in range(60)]
    result = split_old_and_new(names, names, [i >= 55 for i in range(60)], test=0.1)
    assert result == split(names, names, test=0.1)


@pytest.mark.parametrize(
    ("count", "test", "expected"),
    [
        (8, 0.0, (4, 1, 3, 0)),  # 2.8 calibrate: rounded, not cut
        (8, 0.05, (3, 1, 3, 1)),  # 0.8 stop, 0.4 are held out: one each at least
        (16, 0.1, (6, 2, 6, 2)),  # 1.6 of each
        (17, 0.1, (7, 2, 6, 2)),  # 5.95 calibrate
    ],
)
def test_the_shares_of_new_parts_are_rounded_and_one_at_least(count, test, expected):
    names = [f"{i}.png" for i in range(8 + count)]
    new = [i >= 8 for i in range(len(names))]
    split = split_old_and_new(names, names, new, test=test)
    sets = split.train, split.early_stop, split.calibration, split.test
    assert tuple(sum(new[i] for i in chosen) for chosen in sets) == expected


def test_new_parts_go_by_the_hash_of_their_names_and_the_seed():
    names = [f"{i}.png" for i in range(60)]
    new = [i >= 20 for i in range(60)]
    first, other = (split_old_and_new(names, names, new, test=0.1, seed=seed) for seed in (0, 1))
    assert {i for i in first.calibration if new[i]} != {i for i in other.calibration if new[i]}
    assert {i for i in first.calibration if not new[i]} != {i for i in other.calibration if not new[i]}
    held = sorted(i for i in first.calibration if new[i])
    assert held[-1] - held[0] > len(held)  # no run of the names
    backwards = split_old_and_new(names[::-1], names[::-1], new[::-1], test=0.1)
    assert [{names[::-1][i] for i in chosen} for chosen in (backwards.calibration, backwards.test)] == [
        {names[i] for i in chosen} for chosen in (first.calibration, first.test)
    ]


@pytest.mark.parametrize(("old", "old_parts", "new"), [(8, 3, 7), (7, 7, 20), (8, 2, 20)])
def test_too_few_of_either_are_placed_together_by_the_same_seed(old, old_parts, new):
    parts = [f"o{i % old_parts}" for i in range(old)] + [f"n{i}" for i in range(new)]
    names = [f"{i}.png" for i in range(old + new)]
    is_new = [i >= old for i in range(old + new)]
    for seed in (0, 1):
        assert split_old_and_new(names, parts, is_new, test=0.1, seed=seed) == split(
            names, parts, test=0.1, seed=seed
        )
    with pytest.raises(ValueError, match="shorter"):
        split_old_and_new(names, parts, is_new[1:], test=0.1)


def test_just_enough_of_both_are_shared_out_by_themselves():
    parts = [f"o{i % 3}" for i in range(8)] + [f"n{i}" for i in range(20)]
    names = [f"{i}.png" for i in range(28)]
    split = split_old_and_new(names, parts, [i >= 8 for i in range(28)], test=0.1)
    new = [sum(i >= 8 for i in chosen) for chosen in (split.train, split.early_stop, split.calibration, split.test)]
    assert new == [9, 2, 7, 2]


def test_shares_too_small_or_too_large_leave_each_set_its_least():
    names = list("abcdefgh")
    result = split(names, names, early_stop=1e-9, calibration=1e-9)
    assert (len(result.early_stop), len(result.calibration), len(result.train)) == (2, 2, 4)
    crowded = split(names, names, early_stop=0.9, calibration=0.09)
    assert (len(crowded.early_stop), len(crowded.calibration), len(crowded.train)) == (5, 2, 1)
    calibrated = split(names, names, early_stop=0.01, calibration=0.98)
    assert (len(calibrated.early_stop), len(calibrated.calibration), len(calibrated.train)) == (2, 5, 1)
    alone = split(names, names, early_stop=0.9, calibration=0, test=0.09)
    assert (len(alone.early_stop), len(alone.train), len(alone.test)) == (7, 1, 0)


def test_names_that_are_no_unicode_have_their_place_too():
    names = [f"{i}\udce4.png" for i in range(12)]
    assert split(names, names).train


def test_parts_that_weights_have_learnt_from_train_and_set_no_threshold():
    parts = ["a", "a", "b", "c", "d", "e", "f", "f"]
    drawn = Split(train=(0, 1), early_stop=(2, 3), calibration=(4, 5), test=(6, 7))
    assert with_learned(drawn, parts, {0}) == drawn
    assert with_learned(drawn, parts, {2, 4, 6}) == Split((0, 1, 2, 4, 6, 7), (3,), (5,))
    assert with_learned(drawn, parts, {2, 3}) is None
    assert with_learned(drawn, parts, {4, 5}) is None
