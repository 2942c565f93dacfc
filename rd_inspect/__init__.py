"""rd-inspect from Python: a store, its models, scores and labels.

    import rd_inspect

    store = rd_inspect.open_store("./plant")
    model = store.model("cloth")                      # the champion; or version="..."
    rows = model.score(["a.png", "photos/b.png"])     # an Arrow table; rows.to_pandas(), polars.from_arrow(rows)
    found = model.detect("a.png")                     # one picture: score, decision, map
    sealed = store.scores("cloth")

What is named here keeps its name. Nothing is written to the store, and neither a Prefect server nor a cluster is
needed. Importing this is quick: torch is loaded with the first model.
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
