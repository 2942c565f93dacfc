"""Tables of inspection and models."""

import json
from decimal import Decimal
from shlex import quote
from typing import TYPE_CHECKING

from flows.printing.plain_table import PlainTable, plain_table
from flows.settings import SettingsError, nearest
from rd_core.errors import ConfigError
from rd_core.pictures.image_view import ImageView
from reports.plain_text import PROMISED, shown, state_in_words
from storage.errors import CorruptObject
from storage.filesystem import Store, open_store
from storage.models import models
from storage.records import Champion
from storage.stores.json_records import to_json
from tasks.worker.preprocessing import why_unusable

if TYPE_CHECKING:  # a table of grids needs no flow, nor its torch
    from flows.inspection import InspectionRun
    from flows.night.night_reports import NightReport


def inspection_table(run: "InspectionRun") -> PlainTable:
    """One row a category, with what a run did."""
    table = plain_table(
        "category", "state", "model version", "images", "scored now", "anomalous", "unreadable", "rejected"
    )
    table.title = f"{run.run_date}: {run.outcome}"
    for outcome in run.categories:
        table.add_row(
            outcome.category, state_in_words(outcome.state), outcome.model_version or "-",
            *map(str, (outcome.images, outcome.scored_now, outcome.anomalous, outcome.unreadable, outcome.rejected)),
        )  # fmt: skip
    table.notes = [f"{outcome.category}: {outcome.message}" for outcome in run.categories if outcome.message]
    table.notes += [_of_report(report) for report in run.reports]
    return table


def _of_report(report: "NightReport") -> str:
    if report.kind != "index" or report.report is None:
        return f"{report.kind}: {report.message}"
    if report.message == "nothing to do":
        return f"Nothing needs attention today. All reports: {report.report}"
    return f"What needs attention today; {report.report} has the details:\n{report.message}"


def models_table(store_uri: str, category: str | None) -> PlainTable:
    """Every version of one category or of all, newest first."""
    store = opened(store_uri)
    table = plain_table(
        "category", "version", "in force", "method", "view", "threshold", PROMISED, "normals", "weights of"
    )
    problems = table.notes
    for name in _categories(store, category):
        champion = _in_force(store, name, problems)
        for version in sorted(models.list_versions(store, name), reverse=True):
            in_force = bool(champion and champion.version == version)
            try:
                card = models.read_card(store, name, version)
                method, view = card.method.name, ImageView.from_dict(card.preprocessing.view).in_words()
                promised, normals = f"{Decimal(f'{100 * card.threshold.alpha:.6g}'):f}%", str(len(card.images.train))
                shares = card.weights_version if card.weights_version != version else ""
                figures = f"{card.threshold.value:.4f}", promised, normals, shares
            except (CorruptObject, ConfigError) as e:
                problems.append(f"{name} {version}: its model card is damaged. {e}")
                method, view, figures = "", "damaged", ("", "", "", "")
            else:
                if in_force and card.method.choice:
                    problems.append(f"{name} {version}: {shown(card.method.choice.sentence)}")
                if in_force and (why := why_unusable(card)):
                    problems.append(why)
            table.add_row(name, version, "yes" if in_force else "", method, view, *figures)
    if not table.rows and not problems:
        problems.append(f"No model yet. Train one: rd-inspect train --store {quote(store_uri)}")
    return table


def history_table(store_uri: str, category: str | None) -> PlainTable:
    """Every champion of one category or of all, newest first."""
    store = opened(store_uri)
    table = plain_table("category", "version", "in force since (UTC)", "by", "how")
    notes = table.notes
    for name in _categories(store, category):
        champion = _in_force(store, name, notes)
        for reign in (champion, *champion.history) if champion else ():
            since = f"{reign.since:%Y-%m-%d %H:%M}"
            table.add_row(name, reign.version, since, reign.by, _how(reign))
            if reign.overruled:
                words = shown(reign.overruled)
                notes.append(f"{name}: {reign.version} was promoted by {reign.by} against the gate: {words}")
    if not table.rows and not notes:
        notes.append(f"No model is in force. Train one: rd-inspect train --store {quote(store_uri)}")
    return table


def _how(reign: Champion) -> str:
    if reign.rolled_back_from:
        return f"rollback from {reign.rolled_back_from}"
    return "promotion against the gate" if reign.overruled else "promotion"


def _categories(store: Store, category: str | None) -> list[str]:
    known = models.list_model_categories(store)
    if category is not None and category not in known:
        raise SettingsError(
            f"There is no model of {category!r} in {store.uri}{nearest(category, known)} Train one: rd-inspect train "
            f"--category {category} --store {store.uri}"
        )
    return [category] if category else known


def _in_force(store: Store, category: str, damaged: list[str]) -> Champion | None:
    """The champion; None if there is none, or if its file is damaged, which goes into `damaged`."""
    try:
        return models.read_champion(store, category)
    except CorruptObject as e:
        damaged.append(f"{category}: {e}")
        return None


def model_card_json(store_uri: str, category: str, version: str) -> str:
    """The model card of one version, indented."""
    store = opened(store_uri)
    _categories(store, category)
    known = models.list_versions(store, category)
    if version not in known:
        raise SettingsError(
            f"There is no model {version!r} of {category!r} in {store.uri}{nearest(version, known)} "
            f"See: rd-inspect models --category {category}"
        )
    return json.dumps(to_json(models.read_card(store, category, version)), indent=2)


def opened(store_uri: str) -> Store:
    store = open_store(store_uri, read_only=True)
    store.check()
    return store
