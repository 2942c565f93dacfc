"""What people's notebooks rest on: these names and signatures stay, and each says what it does."""

import inspect

import rd_inspect

SIGNATURES = {
    "open_store": "uri",
    "InspectionStore.uri": "property",
    "InspectionStore.categories": "",
    "InspectionStore.versions": "category",
    "InspectionStore.model": "category, version=None",
    "InspectionStore.query": "sql",
    "InspectionStore.scores": "category=None, first_day=None, last_day=None",
    "InspectionStore.labels": "category=None",
    "InspectionStore.anomaly_map": "map_store, map_index",
    "Model.score": "pictures",
    "Model.detect": "picture",
    "Detection": "score, threshold, p_value, is_anomalous, decision, anomaly_map, boxes, height, width, covered",
    "Detection.map_of_picture": "",
}


def test_names_and_signatures_are_kept_and_documented() -> None:
    classes = {"Detection", "InspectionStore", "Model"}
    assert {*rd_inspect.__all__} == {*classes, "ModelNotUsable", "StorageError", "UnreadableImage", "open_store"}
    methods = {f"{one}.{name}" for one in classes for name in vars(getattr(rd_inspect, one)) if name[0] != "_"}
    assert methods - {f"Detection.{field}" for field in inspect.signature(rd_inspect.Detection).parameters} == {
        name for name in SIGNATURES if "." in name
    }
    for name, expected in SIGNATURES.items():
        found = rd_inspect
        for part in name.split("."):
            found = getattr(found, part)
        assert inspect.getdoc(found)
        assert _signature(found) == expected, name


def _signature(found: object) -> str:
    if isinstance(found, property) or not callable(found):
        return "property"
    parameters = [one for one in inspect.signature(found).parameters.values() if one.name != "self"]
    return ", ".join(f"{one.name}{'' if one.default is one.empty else f'={one.default}'}" for one in parameters)
