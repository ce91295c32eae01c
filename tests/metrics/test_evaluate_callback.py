"""Figures of generated texts among the logs of `fit`, on each engine."""

import keras
import numpy as np
import pytest

from kzoo import metrics
from kzoo.callbacks import Evaluate

WORDS = np.array(["red", "green", "blue", "black"])
X = np.eye(4, dtype="float32")
REFERENCES = [f"{word} is the colour" for word in WORDS]


def colours(model, inputs):
    """A text by the model's weights as they are at this moment."""
    return [
        f"{word} is the colour" for word in WORDS[np.asarray(model.predict(inputs, verbose=0)).argmax(-1)]
    ]


def trained(*callbacks, epochs=4):
    """A model that gets every word wrong at first and right after one epoch."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(4, kernel_initializer="zeros")])
    model.layers[0].set_weights([np.roll(np.eye(4), 1, axis=0) * 0.1, np.zeros(4)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.SGD(10.0), loss=loss)
    before = colours(model, X)
    history = model.fit(X, np.arange(4), epochs=epochs, batch_size=4, verbose=0, callbacks=list(callbacks))
    return before, history.history


def test_figures_of_the_present_weights_are_in_the_logs_and_stop_the_training(tmp_path):
    evaluate = Evaluate(colours, (X, REFERENCES), [metrics.WER(), metrics.ExactMatch()])
    stop = keras.callbacks.EarlyStopping("val_wer", mode="min", patience=1)
    path = tmp_path / "best-{val_exact_match:.2f}.keras"
    best = keras.callbacks.ModelCheckpoint(path, "val_wer", mode="min", save_best_only=True)
    before, history = trained(evaluate, stop, best)
    assert all(a != b for a, b in zip(before, REFERENCES))
    assert history["val_wer"] == [0.0, 0.0] and history["val_exact_match"] == [1.0, 1.0]
    assert [file.name for file in tmp_path.iterdir()] == ["best-1.00.keras"]


def test_batches_and_every_other_epoch():
    batches = [(X[:3], REFERENCES[:3]), (X[3:], REFERENCES[3:])]
    _, history = trained(Evaluate(colours, batches, metrics.BLEU(), every=2, prefix="test_"))
    assert history["test_bleu"] == pytest.approx([100.0, 100.0]) and len(history["loss"]) == 4


@pytest.mark.once
def test_wrong_arguments_are_refused():
    for arguments, error in (
        ({"generate": "model"}, TypeError),
        ({"metrics": []}, ValueError),
        ({"every": 0}, ValueError),
        ({"data": iter([])}, TypeError),
    ):
        with pytest.raises(error, match="Received: "):
            Evaluate(**{"generate": colours, "data": (X, REFERENCES), "metrics": [metrics.WER()]} | arguments)
    evaluate = Evaluate(lambda model, inputs: REFERENCES, (X, REFERENCES), [metrics.WER(), metrics.WER()])
    with pytest.raises(ValueError, match="wer"):
        evaluate.figures()
