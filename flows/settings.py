"""Every setting, typed, in one place.

Later sources win: the defaults below, `categories.toml` in the store, the environment (`RD_INSPECT_<NAME>`), a
command's options. An unknown name is refused, with the nearest known one.

    # categories.toml
    [plant]
    time_zone = "Europe/Vienna"
    [defaults]                  # every category
    image_size = 256
    [defaults.padim]            # every category with this method
    dimensions = 100
    [categories.cloth]          # this category only
    method = "padim"
    [categories.cloth.padim]
    dimensions = 50
    [drift]                     # see rd_core.drift.settings
    defect_share = 0.05
"""

import difflib
import os
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import fields
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, ValidationInfo, field_validator

from flows.category_settings import AUTO, CategorySettings
from flows.errors import in_plain_words, sentence
from rd_core.detectors.registry import METHODS, settings_class
from rd_core.detectors.settings import DetectorSettings
from rd_core.drift.settings import DriftSettings
from rd_core.errors import ConfigError
from storage.errors import KeyNotFound
from storage.filesystem import Store, open_store
from storage.layout import SETTINGS_KEY

ENVIRONMENT_PREFIX = "RD_INSPECT_"
_ENVIRONMENT_ELSEWHERE = {"STORE", "HOME", "TORCH_THREADS", "CODE"}
"""variables of the command line, the server, the workers and prefect.yaml, which are no settings"""
_OF_A_SERVICE = re.compile(
    r"(^|_)(SERVICE_HOST|SERVICE_PORT(_\w+)?|(?P<link>PORT(_\d+_(TCP|UDP|SCTP))?)|PORT_\d+_(TCP|UDP|SCTP)_(PROTO|PORT|ADDR))$"
)
"""variables that Kubernetes sets for a service; a `link` has a value such as tcp://10.0.0.1:8765"""

T = TypeVar("T")


class SettingsError(Exception):
    """A setting is unknown or has an impossible value."""


class PlantSettings(BaseModel):
    """Settings of the whole plant."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: str | None = None
    """URI of the images' store, only read; None: the store itself"""
    time_zone: str = "UTC"
    """decides when a production day ends"""
    workers: Annotated[int, Field(ge=1)] | None = None
    """processes of the embedded Dask cluster; None: one for each core"""
    dask_address: str | None = None
    """scheduler of a running Dask cluster; None: an embedded one"""
    gpu_workers: bool = False
    """score only on workers of the running cluster with the Dask resource GPU, one batch on a GPU at a time"""
    batch_images: Annotated[int, Field(ge=1)] | None = None
    """images one task scores; None: chosen by the size of the night"""
    metrics: Path | None = None
    """folder for each run's file of Prometheus metrics, for node_exporter to collect; None: no file"""
    review_url: str | None = None
    """address of the review page, such as http://plant:8010, for links in reports; None: no links"""

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(
                f"{value!r} is not a time zone{nearest(value, available_timezones())} Write it like Europe/Vienna."
            )
        return value

    @field_validator("review_url")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            url = urlsplit(value)
            whole = url.scheme in ("http", "https") and bool(url.hostname) and (url.port is None or url.port > 0)
        except ValueError:
            whole = False
        if not whole or any(letter.isspace() or not letter.isprintable() for letter in value):
            raise ValueError("no address that a browser opens: write it as http://plant:8010")
        if "@" in url.netloc or url.query or url.fragment:
            raise ValueError(
                "everybody who has a report can read it: leave out user, password, token, and all behind ? or #"
            )
        return value

    @field_validator("gpu_workers")
    @classmethod
    def _on_a_running_cluster(cls, value: bool, info: ValidationInfo) -> bool:
        if value and not info.data.get("dask_address"):
            raise ValueError("needs dask_address: an embedded cluster offers no GPU, so scoring would wait for ever")
        return value


class Settings(BaseModel):
    """All settings of one store."""

    model_config = ConfigDict(frozen=True)

    store: str
    """URI of the store"""
    plant: PlantSettings
    defaults: CategorySettings
    """settings of a category that `categories.toml` does not name"""
    categories: dict[str, CategorySettings]
    drift: dict[str, Any] = Field(default_factory=dict)
    """settings of the drift statistics by name, checked; others keep their defaults"""
    own: dict[str, Any] = Field(default_factory=dict)
    """settings of a method from the command; they override its table"""

    @property
    def images(self) -> str:
        return self.plant.images or self.store

    def category(self, name: str) -> CategorySettings:
        return self.categories.get(name, self.defaults)

    def detector(self, category: str, method: str | None = None) -> DetectorSettings:
        """Settings with which the category's next model is trained. SettingsError for one that its method does not
        have. method: default the category's, and for `auto` the default method."""
        chosen = self.category(category)
        if self.own and method is None and chosen.method == AUTO:
            raise SettingsError(
                f"{next(iter(self.own))} is a setting of one method, and the method of {category!r} is auto, so "
                "nothing was started. Name the method, too: --method NAME"
            )
        method = method or chosen.sure_method
        known = settings_class(method).table_names()
        for name, value in self.own.items():
            if name not in known:
                raise SettingsError(
                    f"{name} {value}: the method of {category!r} is {method}, which has no such setting"
                    f"{nearest(name, known)} Nothing was started. Leave it out, or name the categories of another "
                    "method with --category."
                )
        try:
            return chosen.of_method(method, **self.own)
        except ConfigError as e:
            raise SettingsError(f"{e} Nothing was started.") from e

    def today(self, now: datetime) -> date:
        """The production day at `now` (aware), in the plant's time zone."""
        return now.astimezone(ZoneInfo(self.plant.time_zone)).date()

    def yesterday(self, now: datetime) -> date:
        """The last complete production day at `now` (aware), in the plant's time zone."""
        return self.today(now) - timedelta(days=1)


def load_settings(
    store_uri: str, *, options: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None
) -> Settings:
    """Settings of the store at `store_uri`.

    `options` win; None values count as not given. `environment` defaults to the process's. Raises SettingsError,
    or a StorageError when the store cannot be read.
    """
    store = open_store(store_uri, read_only=True)
    store.check()
    file = _read_file(store)
    environment_values = _from_environment(os.environ if environment is None else environment)
    given = {key: value for key, value in (options or {}).items() if value is not None}
    own = {key: value for key, value in given.items() if key not in _KNOWN}
    _refuse_unknown(
        own, {*_KNOWN, *(name for method in METHODS for name in settings_class(method).table_names())}, "option"
    )
    overrides = {**environment_values, **given}
    variables = environment_values.keys() - given.keys()
    plant = {**file.get("plant", {}), **_only(overrides, PlantSettings)}
    everywhere = _only(overrides, CategorySettings)
    defaults = file.get("defaults", {})
    return Settings(
        store=store_uri,
        plant=_validated(PlantSettings, plant, "plant", variables),
        defaults=_category(defaults, {}, everywhere, "defaults", variables),
        categories={
            name: _category(defaults, table, everywhere, f"categories.{name}", variables)
            for name, table in file.get("categories", {}).items()
        },
        drift=_record_table(file, "drift", DriftSettings),
        own=own,
    )


_SHARED = CategorySettings.model_fields.keys() - {"tables"}
_KNOWN = {*PlantSettings.model_fields, *_SHARED}


def _category(
    defaults: Mapping[str, Any],
    table: Mapping[str, Any],
    everywhere: Mapping[str, Any],
    where: str,
    variables: Collection[str],
) -> CategorySettings:
    """A category's settings; each key that it does not set in a method's table comes from the defaults."""
    values = {key: value for key, value in {**defaults, **table, **everywhere}.items() if key not in METHODS}
    tables = {name: {**defaults.get(name, {}), **table.get(name, {})} for name in METHODS}
    settings = _validated(CategorySettings, {**values, "tables": tables}, where, variables)
    for name, own in tables.items():
        _refuse_unknown(own, settings_class(name).table_names(), f"{SETTINGS_KEY} [{where}.{name}] key")
        if name != settings.method:  # its values may be meant for other image sizes and teachers
            continue
        try:
            settings.of_method(name)
        except ConfigError as e:
            raise SettingsError(f"{SETTINGS_KEY} [{where}.{name}]: {e} Nothing was started.") from e
    return settings


def _read_file(store: Store) -> dict[str, Any]:
    try:
        content = store.read(SETTINGS_KEY)
    except KeyNotFound:
        return {}
    try:
        tables = tomllib.loads(content.decode("utf-8-sig"))  # Windows editors begin UTF-8 with a byte order mark
    except UnicodeDecodeError as e:
        line = content.count(b"\n", 0, e.start) + 1
        raise SettingsError(
            f"{SETTINGS_KEY} in {store.uri} is not UTF-8 text (line {line}), so its settings cannot be read. Nothing "
            "was started. Save it as UTF-8 in the editor, and run again."
        ) from e
    except (ValueError, RecursionError) as e:  # beside TOML's own errors: a number of too many digits, deep brackets
        raise SettingsError(f"{SETTINGS_KEY} in {store.uri} is not valid TOML: {e}. Nothing was started.") from e
    _refuse_unknown(tables, {"plant", "defaults", "categories", "drift"}, f"{SETTINGS_KEY} table")
    for name, table in tables.items():
        _refuse_no_table(table, name)
    _refuse_unknown(tables.get("plant", {}), PlantSettings.model_fields, f"{SETTINGS_KEY} [plant] key")
    _refuse_misplaced(tables.get("defaults", {}), "defaults")
    for name, table in tables.get("categories", {}).items():
        _refuse_no_table(table, f"categories.{name}")
        _refuse_misplaced(table, f"categories.{name}")
    return tables


def _refuse_misplaced(table: Mapping[str, Any], place: str) -> None:
    """Refuse unknown keys, and keys that belong in a method's table or out of it."""
    for key, value in table.items():
        if key in METHODS:
            _refuse_no_table(value, f"{place}.{key}")
            for own in value.keys() & _SHARED:
                raise SettingsError(
                    f"{SETTINGS_KEY} [{place}.{key}]: {own!r} is a setting of every method. Write it in [{place}]; "
                    "nothing was started."
                )
        elif owners := [name for name in METHODS if key not in _SHARED and key in settings_class(name).table_names()]:
            tables = " or ".join(f"[{place}.{name}]" for name in owners)
            raise SettingsError(
                f"{SETTINGS_KEY} [{place}]: {key!r} is a setting of {' and '.join(owners)} alone. Write it in "
                f"{tables}; nothing was started."
            )
    _refuse_unknown(table, {*_SHARED, *METHODS}, f"{SETTINGS_KEY} [{place}] key")


def _refuse_no_table(value: object, name: str) -> None:
    if not isinstance(value, dict):
        raise SettingsError(f"{SETTINGS_KEY}: {name!r} must be a table: write [{name}]. Nothing was started.")


def _record_table(file: Mapping[str, Any], name: str, record: type) -> dict[str, Any]:
    """The named table as the dataclass `record`, keys and values checked."""
    table = file.get(name, {})
    _refuse_unknown(table, [field.name for field in fields(record)], f"{SETTINGS_KEY} [{name}] key")
    _validated(record, table, name)
    return dict(table)


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for variable, text in environment.items():
        name = variable.removeprefix(ENVIRONMENT_PREFIX)
        if name == variable or name in _ENVIRONMENT_ELSEWHERE or _is_from_kubernetes(name, text):
            continue
        known = {key.upper() for key in _KNOWN}
        if name not in known:
            near = nearest(name, known).replace("mean '", f"mean '{ENVIRONMENT_PREFIX}")
            raise SettingsError(
                f"environment variable {variable} is not known{near} It would have no effect, so nothing was started."
            )
        values[name.lower()] = _height_and_width(text) if name == "IMAGE_SIZE" else text
    return values


def _is_from_kubernetes(name: str, text: str) -> bool:
    """Kubernetes sets variables for each service, so also for one that is called rd-inspect."""
    service = _OF_A_SERVICE.search(name)
    return service is not None and (service["link"] is None or "://" in text)


def _height_and_width(text: str) -> str | list[str]:
    """'256' stays, '256x512' becomes height and width."""
    return text.split("x") if "x" in text else text


def _only(values: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key in model.model_fields}


def _validated(model: type[T], values: Mapping[str, Any], where: str, variables: Collection[str] = ()) -> T:
    try:
        return TypeAdapter(model).validate_python(values)
    except ValidationError as e:
        problems = "; ".join(
            f"{_named(where, error['loc'], variables)} = {error['input']!r}: {in_plain_words(error['msg'])}"
            for error in e.errors(include_url=False)
        )
        raise SettingsError(f"{sentence(problems)} Nothing was started; correct it and run again.") from e


def _named(where: str, place: tuple[int | str, ...], variables: Collection[str]) -> str:
    """The setting as its user wrote it: in a table, or as an environment variable."""
    if place and place[0] in variables:
        return f"{ENVIRONMENT_PREFIX}{str(place[0]).upper()}"
    return f"{where}.{'.'.join(map(str, place))}"


def _refuse_unknown(names: Iterable[str], known: Iterable[str], what: str) -> None:
    known = list(known)
    for name in names:
        if name not in known:
            raise SettingsError(
                f"{what} {name!r} is not known{nearest(name, known)} It would have no effect, so nothing was started."
            )


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message that refuses `name`: the nearest known name, or nothing."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else "."


def store_uri(given: str | None, environment: Mapping[str, str] | None = None) -> str:
    """`given`, else `RD_INSPECT_STORE`. SettingsError without either; InvalidAddress for an impossible address,
    before Prefect keeps a secret in it among a flow run's parameters."""
    uri = given or (os.environ if environment is None else environment).get("RD_INSPECT_STORE")
    if not uri:
        raise SettingsError(
            "No store is named, so nothing was started. Give --store URI or set RD_INSPECT_STORE, "
            "for example ./plant or s3://bucket/plant."
        )
    open_store(uri, read_only=True)
    return uri
