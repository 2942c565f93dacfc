"""The tables of `rd-inspect status` and `rd-inspect backfill`: day by category."""

from collections.abc import Sequence
from datetime import date
from itertools import groupby
from typing import Any

from flows.printing.plain_table import PlainTable, plain_table
from storage.analysis.grid import NO_IMAGES, PARTLY, STATES, TO_DO, Cell, Grid

_MOST_COLUMNS = 8
"""categories side by side; for more, states are counted"""
_MOST_LINES = 20
"""problems listed below the table; --format json gives all"""
_MOST_NAMED = 4
"""categories of a day"""


def grid_table(grid: Grid) -> PlainTable:
    """One row a day. Up to eight categories have a column each; for more, the cells of each state are counted."""
    categories = list(dict.fromkeys(cell.category for cell in grid.cells))
    wide = len(categories) <= _MOST_COLUMNS
    table = plain_table("day", *(categories if wide else (*STATES, "to do")), narrow="panels" if wide else "blocks")
    for day, cells in _days(grid):
        if all(cell.state == NO_IMAGES for cell in cells):
            continue
        states = [cell.state for cell in cells]
        if wide:
            table.add_row(day.isoformat(), *map(_in_short, cells))
        else:
            table.add_row(day.isoformat(), *(str(states.count(state)) for state in STATES), _to_do(cells))
    counts = ", ".join(f"{count} {state}" for state, count in grid.counts.items() if count)
    table.title = f"{grid.first_day} to {grid.last_day}: {counts or 'no category has images'}"
    table.notes = _notes(grid)
    return table


def grid_rows(grid: Grid) -> list[dict[str, Any]]:
    """One row a day and a column a category, for an artifact."""
    return [{"day": day.isoformat(), **{c.category: _in_short(c) for c in cells}} for day, cells in _days(grid)]


def grid_json(grid: Grid) -> dict[str, Any]:
    """Every cell and the counts, as JSON values."""
    return {
        "first_day": grid.first_day.isoformat(),
        "last_day": grid.last_day.isoformat(),
        "counts": grid.counts,
        "cells": [
            {
                "run_date": cell.run_date.isoformat(),
                "category": cell.category,
                "model_version": cell.version,
                "state": cell.state,
                "images": cell.listed,
                "sealed": cell.sealed,
                "sealed_by": list(cell.others),
                "problem": cell.problem,
            }
            for cell in grid.cells
        ],
    }


def _days(grid: Grid) -> list[tuple[date, list[Cell]]]:
    return [(day, list(cells)) for day, cells in groupby(grid.cells, lambda cell: cell.run_date)]


def _in_short(cell: Cell) -> str:
    if cell.state == NO_IMAGES:
        return "-"
    if cell.state == PARTLY:
        return f"{PARTLY} {cell.sealed}/{cell.listed}"
    return f"{cell.state} {cell.listed}"


def _to_do(cells: Sequence[Cell]) -> str:
    undone = [f"{cell.category} {_in_short(cell)}" for cell in cells if cell.state in TO_DO]
    more = [f"and {len(undone) - _MOST_NAMED} more"] if len(undone) > _MOST_NAMED else []
    return ", ".join(undone[:_MOST_NAMED] + more)


def _notes(grid: Grid) -> list[str]:
    """What the table cannot show: problems, categories without a champion, days that another version has
    completed."""
    first_cells: dict[tuple[str, str], Cell] = {}  # a closed folder once, not for each day
    for cell in grid.cells:
        if cell.problem:
            first_cells.setdefault((cell.category, cell.problem), cell)
    problems = list(first_cells.values())
    lines = [f"{cell.category} {cell.run_date}: {cell.problem}" for cell in problems[:_MOST_LINES]]
    lines += _more(problems)
    without = sorted({cell.category for cell in grid.undone if cell.version is None})
    lines += [f"{name}: no model is in force. Train one: rd-inspect train --category {name}" for name in without]
    earlier = sum(cell.state in TO_DO and bool(cell.others) for cell in grid.cells)
    if earlier:
        lines.append(f"{earlier} of the days left to do are complete by another model version; those scores stay.")
    return lines


def _more(cells: Sequence[Cell]) -> list[str]:
    return [f"... and {len(cells) - _MOST_LINES} more; --format json gives all"] if len(cells) > _MOST_LINES else []
