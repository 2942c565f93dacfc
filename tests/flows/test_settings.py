"""Settings: the order of sources, and refusals that help."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from flows.settings import SettingsError, load_settings, store_uri
from rd_core.calibration.goals import Costs, WantedRecall
from rd_core.detectors.spade.settings import SpadeSettings
from rd_core.pictures.crop import Crop
from rd_core.pictures.image_view import ImageView

TOML = """
[plant]
time_zone = "America/New_York"
[defaults]
image_size = 128
alpha = 0.02
[defaults.reverse_distillation]
steps = 70
batch_size = 4
[categories.cloth]
alpha = 0.05
image_size = [96, 160]
[categories.cloth.reverse_distillation]
steps = 30
"""


@pytest.fixture
def store(tmp_path: Path) -> str:
    (tmp_path / "categories.toml").write_text(TOML)
    return str(tmp_path)


def test_defaults_hold_where_nothing_is_said(tmp_path: Path) -> None:
    settings = load_settings(str(tmp_path), environment={})
    assert settings.category("any").teacher == "efficientnet_lite0"
    assert settings.category("any").image_size == "auto"
    assert settings.category("any").height_width == (256, 256)  # until a training has seen the images
    assert settings.images == str(tmp_path)


def test_a_category_wins_over_defaults_and_others_keep_them(store: str) -> None:
    settings = load_settings(store, environment={})
    assert settings.category("cloth").alpha == 0.05
    assert settings.category("cloth").height_width == (96, 160)
    assert settings.category("metal").alpha == 0.02
    assert settings.category("metal").height_width == (128, 128)


def test_of_a_methods_table_a_category_wins_key_by_key(store: str) -> None:
    settings = load_settings(store, environment={})
    lengths = {name: settings.detector(name).training for name in ("cloth", "metal")}
    assert {name: (one.steps, one.batch_size) for name, one in lengths.items()} == {
        "cloth": (30, 4),
        "metal": (70, 4),
    }
    assert (settings.detector("cloth").image_height, settings.detector("metal").image_height) == (96, 128)


def test_values_of_a_methods_table_are_held_against_the_categories_that_have_the_method(tmp_path: Path) -> None:
    """A Gaussian for each position of 1024 pixels would be too large, and none of these is wanted."""
    text = "[defaults]\nimage_size = 1024\n[defaults.padim]\nridge = 0.02\n"
    small = '[categories.cloth]\nmethod = "padim"\nimage_size = 256\n'
    (tmp_path / "categories.toml").write_text(text + small)
    assert load_settings(str(tmp_path), environment={}).detector("cloth").ridge == 0.02
    (tmp_path / "categories.toml").write_text(text + small.replace("256", "1024"))
    with pytest.raises(SettingsError, match=r"\[categories\.cloth\.padim\].*gaussian_bytes"):
        load_settings(str(tmp_path), environment={})


def test_a_crop_in_whole_numbers_is_in_pixels_and_one_with_a_fraction_in_shares(tmp_path: Path) -> None:
    text = "[defaults]\nimage_size = [64, 96]\ncrop = [10, 0, 300, 400]\n[categories.foil]\ncrop = [0, 0, 1.0, 0.5]\n"
    (tmp_path / "categories.toml").write_text(text)
    settings = load_settings(str(tmp_path), environment={})
    assert settings.category("cloth").view == ImageView(64, 96, Crop(10, 0, 300, 400, "pixels"))
    assert settings.category("foil").view == ImageView(64, 96, Crop(0, 0, 1, 0.5, "shares"))


def test_cross_fitting_is_refused_where_the_method_is_too_dear_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = '[defaults]\ncalibration = "cross"\n[categories.cloth]\nmethod = "spade"\n'
    (tmp_path / "categories.toml").write_text(text)
    assert load_settings(str(tmp_path), environment={}).category("cloth").calibration == "cross"
    monkeypatch.setattr(SpadeSettings, "cross_fits", False)
    with pytest.raises(SettingsError, match=r'categories\.cloth\.calibration.* of spade takes too long .* "split"'):
        load_settings(str(tmp_path), environment={})


def test_a_category_does_without_the_tiles_and_the_crop_of_the_defaults(tmp_path: Path) -> None:
    text = "[defaults]\nimage_size = 128\ntile = 64\noverlap = 16\ncrop = [0, 0, 300, 400]\n[categories.foil]\n"
    (tmp_path / "categories.toml").write_text(
        text + 'method = "padim"\ntile = "none"\noverlap = "none"\ncrop = "none"\n'
    )
    settings = load_settings(str(tmp_path), environment={})
    assert settings.category("foil").view == ImageView(128, 128)
    assert settings.category("cloth").view == ImageView(128, 128, Crop(0, 0, 300, 400, "pixels"), tile=64, overlap=16)


def test_with_a_tile_the_networks_see_tiles_and_the_view_is_what_they_cover(tmp_path: Path) -> None:
    text = "[defaults]\ntile = 64\nimage_size = [100, 136]\n[categories.foil]\noverlap = 8\n"
    (tmp_path / "categories.toml").write_text(text)
    settings = load_settings(str(tmp_path), environment={})
    assert settings.category("cloth").view == ImageView(100, 136, tile=64, overlap=16)
    assert settings.category("foil").view.overlap == 8
    detector = settings.detector("cloth")
    assert (detector.image_height, detector.image_width) == (64, 64)


def test_environment_wins_over_the_file_and_options_over_both(store: str) -> None:
    environment = {"RD_INSPECT_ALPHA": "0.2", "RD_INSPECT_IMAGE_SIZE": "64x96", "RD_INSPECT_STORE": "elsewhere"}
    settings = load_settings(store, options={"alpha": 0.3, "steps": 9}, environment=environment)
    assert settings.category("cloth").alpha == 0.3
    assert settings.category("cloth").height_width == (64, 96)
    assert [settings.detector(name).training.steps for name in ("cloth", "metal")] == [9, 9]
    assert load_settings(store, environment=environment).category("cloth").alpha == 0.2


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("[categories.cloth]\nalfa = 0.1", ["alfa", "'alpha'", "categories.cloth"]),
        ("[defaults]\nimage_sise = 64", ["image_sise", "'image_size'"]),
        ("[plant]\ntimezone = 'UTC'", ["timezone", "'time_zone'"]),
        ("[category.cloth]\nalpha = 0.1", ["'category'", "'categories'"]),
        ("[categories]\ncloth = 3", ["cloth", "[categories.cloth]"]),
        ("[defaults]\nalpha = 1.5", ["defaults.alpha", "1.5"]),
        ("[defaults]\nimage_size = 8", ["image_size = 8", "multiple of 32"]),
        ("[categories.cloth]\nimage_size = [256, 250]", ["categories.cloth.image_size", "250 pixels", "256 is"]),
        ("[defaults]\ntile = 100", ["defaults.tile", "100 pixels", "multiple of 32"]),
        ("[defaults]\nimage_size = 256\ntile = 512", ["image_size = 256: tiles of 512 pixels do not fit"]),
        ("[defaults]\ntile = 256\nimage_size = [502, 1250]", ["image_size", "502 pixels", "multiple of 4"]),
        ("[defaults]\ntile = 64\noverlap = 40", ["defaults.overlap", "overlap 40", "[0, 32]"]),
        ("[defaults]\noverlap = 40", ["defaults.overlap", "set tile"]),
        ("[defaults]\ntile = 64\n[categories.cloth]\nmethod = 'padim'", ["categories.cloth.tile", "each place"]),
        ("[defaults]\ncrop = [0.5, 0, 0.6, 1.0]", ["defaults.crop", "reaches beyond the image", "1.0"]),
        ("[categories.cloth]\ncrop = [1, 2, 3]", ["categories.cloth.crop = [1, 2, 3]: it must be four numbers"]),
        ("[categories.cloth]\ncrop = 5", ["crop = 5: it must be four numbers"]),
        ("[categories.cloth]\ncrop = [0, 0, 1, 1]", ["whole numbers are pixels", "[0, 0, 1.0, 1.0]"]),
        ("[defaults]\nimage_size = 'native'", ["defaults.image_size = 'native': it must be \"auto\", a number"]),
        ("[defaults]\nimage_size = [64, 64, 64]", ['defaults.image_size = [64, 64, 64]: it must be "auto"']),
        (
            "[defaults]\nmethod = 'reverse_destillation'",
            ["defaults.method = 'reverse_destillation'", "'reverse_distillation'"],
        ),
        ("[defaults.reverse_distillation]\nrecipe = 'robbust'", ["[defaults.reverse_distillation]", "robust, paper"]),
        ("[categories.cloth.reverse_distillation]\nstep = 3", ["[categories.cloth.reverse", "'step'", "'steps'"]),
        ("[defaults.reverse_distillation]\nsteps = 0", ["[defaults.reverse_distillation]", "steps 0", "above 0"]),
        (
            "[defaults.reverse_distillation]\nsteps = 'few'",
            ["[defaults.reverse_distillation]", "'few'", "whole number"],
        ),
        ("[defaults.reverse_distillation]\nseed = 1", ["'seed'", "every method", "Write it in [defaults]"]),
        ("[defaults.padim]\nrigde = 0.02", ["[defaults.padim]", "'rigde'", "'ridge'"]),
        ("[defaults]\nsteps = 5", ["'steps'", "Write it in [defaults.reverse_distillation]"]),
        ("[defaults]\nreverse_distillation = 5", ["write [defaults.reverse_distillation]"]),
        ("[plant]\ntime_zone = 'Europe/Viena'", ["Europe/Viena", "Europe/Vienna"]),
        ("[defaults]\npart_pattern = 'tile(\\\\d+)'", ["part_pattern", "`part`"]),
        ("[defaults]\npart_pattern = '('", ["part_pattern"]),
        ("[defaults]\nwhite_level = 0", ["black_level", "white_level 0 is not above 0"]),
        ("[defaults]\nwhite_level = 64\nblack_level = 64", ["black_level", "white_level 64 is not above 64"]),
        ("[defaults]\nwhite_level = nan", ["defaults.white_level", "finite"]),
        ("[defaults]\nengine = 'openvno'", ["defaults.engine", "openvno", "'auto', 'torch' or 'openvino'"]),
        ("[plant]\ngpu_workers = true", ["plant.gpu_workers", "dask_address"]),
        ("[plant]\ngpu_workers = 'cuda'", ["plant.gpu_workers", "cuda"]),
        ("[drift]\ndefekt_share = 0.1", ["defekt_share", "'defect_share'", "[drift]"]),
        ("[drift]\ndefect_share = 0.9", ["drift", "defect_share = 0.9", "0.5"]),
        ("[drift]\ndefect_share = 'much'", ["drift.defect_share", "much"]),
        ("drift = 3", ["'drift'", "[drift]"]),
        ("defaults = 3", ["'defaults'", "[defaults]"]),
        ("not toml", ["categories.toml", "not valid TOML"]),
        ("[plant]\nworkers = 1\nworkers = 2", ["not valid TOML", "Nothing was started"]),
        (f"drift = {'[' * 2_000}", ["not valid TOML"]),
        (f"[plant]\nworkers = {'9' * 5_000}", ["not valid TOML"]),
    ],
)
def test_a_wrong_file_is_refused_with_name_and_cure(tmp_path: Path, text: str, names: list[str]) -> None:
    (tmp_path / "categories.toml").write_text(text)
    with pytest.raises(SettingsError) as refused:
        load_settings(str(tmp_path), environment={})
    for name in names:
        assert name in str(refused.value)


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_file_saved_by_an_editor_of_windows_is_read(tmp_path: Path, mark: bytes) -> None:
    (tmp_path / "categories.toml").write_bytes(mark + b"[categories.'t\xc3\xbcr']\r\n\talpha\t=\t0.2\t# \xc3\xa4\r\n")
    assert load_settings(str(tmp_path), environment={}).categories["t\u00fcr"].alpha == 0.2


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16", "utf-16-le"])
def test_a_file_in_another_encoding_is_refused_with_its_line_and_the_cure(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "categories.toml").write_bytes("[plant]\n# Prüfstand\nworkers = 1\n".encode(encoding))
    with pytest.raises(SettingsError, match="Save it as UTF-8"):
        load_settings(str(tmp_path), environment={})


def test_what_kubernetes_tells_of_a_service_is_no_setting(tmp_path: Path) -> None:
    told = {
        "PORT": "tcp://10.0.0.1:80", "SERVICE_HOST": "10.0.0.1", "SERVICE_PORT": "80", "SERVICE_PORT_HTTP": "80",
        "PORT_80_TCP": "tcp://10.0.0.1:80", "PORT_80_TCP_PROTO": "tcp", "PORT_80_TCP_PORT": "80",
        "PORT_80_TCP_ADDR": "10.0.0.1", "REVIEW_PORT": "udp://[::1]:9", "REVIEW_SERVICE_HOST": "10.0.0.2",
    }  # fmt: skip
    environment = {f"RD_INSPECT_{name}": value for name, value in told.items()}
    assert load_settings(str(tmp_path), environment=environment) == load_settings(str(tmp_path), environment={})
    for name, value in {"PORT": "8765", "SERVICEHOST": "10.0.0.1", "SERVICE": "a", "PORT_X_TCP": "tcp://a:1"}.items():
        with pytest.raises(SettingsError, match=name):
            load_settings(str(tmp_path), environment={f"RD_INSPECT_{name}": value})


def test_an_unknown_environment_variable_or_option_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"variable RD_INSPECT_TIMEZONE .*mean 'RD_INSPECT_TIME_ZONE'\?"):
        load_settings(str(tmp_path), environment={"RD_INSPECT_TIMEZONE": "UTC"})
    with pytest.raises(SettingsError, match=r"step.*steps"):
        load_settings(str(tmp_path), options={"step": 3}, environment={})


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("ALPHA", "3", "RD_INSPECT_ALPHA = '3': it must be less than 1. Nothing"),
        ("ALPHA", "0,05", "RD_INSPECT_ALPHA = '0,05': it must be a valid number. Nothing"),
        ("TIME_ZONE", "Wien", "RD_INSPECT_TIME_ZONE = 'Wien': 'Wien' is not a time zone"),
    ],
)
def test_a_wrong_value_is_told_in_plain_words_and_as_it_was_given(
    tmp_path: Path, variable: str, value: str, told: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        load_settings(str(tmp_path), environment={f"RD_INSPECT_{variable}": value})
    assert str(refused.value).startswith(told)
    assert "?." not in str(refused.value)
    with pytest.raises(SettingsError, match=r"^defaults\.alpha = 3"):
        load_settings(str(tmp_path), options={"alpha": 3}, environment={"RD_INSPECT_ALPHA": "0.1"})


def test_gpu_workers_belong_to_a_running_cluster(tmp_path: Path) -> None:
    environment = {"RD_INSPECT_GPU_WORKERS": "true"}
    assert not load_settings(str(tmp_path), environment={}).plant.gpu_workers
    (tmp_path / "categories.toml").write_text('[plant]\ndask_address = "tcp://10.0.0.1:8786"\n')
    assert load_settings(str(tmp_path), environment=environment).plant.gpu_workers
    assert not load_settings(str(tmp_path), environment={}).plant.gpu_workers


def test_yesterday_is_the_plants(store: str) -> None:
    early_in_london = datetime(2026, 3, 2, 3, 0, tzinfo=UTC)  # still 1 March in New York
    assert load_settings(store, environment={}).yesterday(early_in_london) == date(2026, 2, 28)


def test_the_store_is_named_or_the_cure_is_told() -> None:
    assert store_uri("a", {"RD_INSPECT_STORE": "b"}) == "a"
    assert store_uri(None, {"RD_INSPECT_STORE": "b"}) == "b"
    with pytest.raises(SettingsError, match="--store URI"):
        store_uri(None, {})


@pytest.mark.parametrize("address", ["http://plant:8010", "https://review.example/inspection/", "http://10.0.0.7:80"])
def test_the_review_page_has_an_address_that_a_browser_opens(store: str, address: str) -> None:
    assert load_settings(store, environment={"RD_INSPECT_REVIEW_URL": address}).plant.review_url == address


@pytest.mark.parametrize(
    ("address", "words"),
    [("plant:8010", "write it as http://plant:8010"), ("ftp://plant", "write it as"), ("http://", "write it as"),
     ("http://plant:99999", "write it as"), ("javascript:alert(1)", "write it as"), ("", "write it as"),
     ("http://plant /x", "write it as"), ("http://eva:pass@plant", "leave out user, password"),
     ("http://plant/?token=1", "leave out user, password, token")],
)  # fmt: skip
def test_what_is_no_address_of_a_review_page_is_refused(store: str, address: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        load_settings(store, environment={"RD_INSPECT_REVIEW_URL": address})


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("miss_cost = 50", "miss_cost and alarm_cost decide together"),
        ("miss_cost = 50\nalarm_cost = 1", "costs need the share of defects"),
        ("miss_cost = 0\nalarm_cost = 1\ndefect_share = 0.1", "miss_cost = 0"),
        ("miss_cost = 5\nalarm_cost = 1\ndefect_share = 0.1\nwanted_recall = 0.9", "give one of them"),
        ("wanted_recall = 95", "wanted_recall = 95"),
    ],
)
def test_goals_of_a_threshold_that_decide_nothing_are_refused(tmp_path: Path, lines: str, said: str) -> None:
    (tmp_path / "categories.toml").write_text(f"[categories.cloth]\n{lines}\n")
    with pytest.raises(SettingsError, match=said):
        load_settings(str(tmp_path), environment={})


def test_a_category_has_the_goal_of_its_settings(tmp_path: Path) -> None:
    lines = (
        "[categories.a]\nmiss_cost = 50\nalarm_cost = 2\ndefect_share = 0.01\n[categories.b]\nwanted_recall = 0.9\n"
    )
    (tmp_path / "categories.toml").write_text(lines)
    settings = load_settings(str(tmp_path), environment={})
    goals = [settings.category(name).goal for name in ("a", "b", "c")]
    assert goals == [Costs(50, 2, 0.01), WantedRecall(0.9), None]
