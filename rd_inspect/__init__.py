"""rd-inspect from Python: a store, its models, scores and labels.

    import rd_inspect

    store = rd_inspect.open_store("./plant")
    model = store.model("cloth")                      # the champion; or version="..."
    rows = model.score(["a.png", "photos/b.png"])     # an Arrow table; rows.to_pandas(), polars.from_arrow(rows)
    detection = model.detect("a.png")                 # one image: score, decision, anomaly map
    scores = store.scores("cloth")

These names stay. Nothing is written to the store, and neither a Prefect server nor a cluster is needed. Importing
is fast: torch is loaded with the first model.
"""

from rd_inspect.model import Detection, Model
from rd_inspect.store import InspectionStore, ModelNotUsable, open_store
from storage.errors import StorageError, UnreadableImage

__all__ = [
    "Detection",
    "InspectionStore",
    "Model",
    "ModelNotUsable",
    "StorageError",
    "UnreadableImage",
    "open_store",
]
