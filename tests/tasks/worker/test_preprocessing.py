"""No model scores pixels that are made in another way than those it learnt from."""

import pytest

from flows.commands.failures import exit_code_of
from flows.commands.tables.plant import models_table
from storage.filesystem import Store
from storage.images import DECODING_VERSION
from tasks.night.pin_champion import pin_champion, pin_version
from tasks.worker.preprocessing import PREPROCESSING_VERSION, OtherPreprocessing
from tasks.worker.scorer import warm_scorer
from tests.factories import put_model


def test_a_model_made_with_another_decoder_is_refused_with_the_cure(store: Store) -> None:
    put_model(store, "tile")
    assert pin_champion.fn(store.uri, "tile").preprocessing == PREPROCESSING_VERSION
    assert PREPROCESSING_VERSION.startswith(DECODING_VERSION)
    put_model(store, "cloth", preprocessing="bilinear-antialias-1")
    for use in (
        lambda: pin_champion.fn(store.uri, "cloth"),
        lambda: pin_version.fn(store.uri, "cloth", "v1"),
        lambda: warm_scorer(store, "cloth", "v1"),
    ):
        with pytest.raises(
            OtherPreprocessing, match=r"v1 of cloth was made.*'bilinear.*Train again: rd-inspect train"
        ):
            use()
    assert "v1 of cloth was made with the preprocessing" in "\n".join(models_table(store.uri, None).notes)
    assert models_table(store.uri, "tile").notes == []
    assert exit_code_of(OtherPreprocessing("plain words")) == 1
