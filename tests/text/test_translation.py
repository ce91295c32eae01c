"""Translation: what is padding, what is yet to be written, caches and beams, beside reading everything anew."""

import keras
import numpy as np
import pytest
from keras import ops
from stepping import forward_of

import kzoo
from kzoo.export.operators import custom_operators
from kzoo.generation import translate
from kzoo.models.text.translation import across_weights

BEGIN, END, SIZE = 1, 2, 9
SOURCES = [np.array(row) for row in ([3, 5, 4, 8, 7, 3, 6], [6, 2], [4, 8, 8, 3])]


def network(**more):
    sizes = dict(vocabulary_size=SIZE, dim=8, depth=1, num_heads=2, dropout=0.0)
    model = kzoo.create_model("translation_small", **sizes | more)
    for i, variable in enumerate(model.trainable_variables):  # far from the first weights, which look nowhere
        draw = np.random.default_rng(i).normal(size=variable.shape) * 0.7
        variable.assign(draw + 1.0 if variable.path.endswith("gamma") else draw)
    return model


def inputs(source, target):
    given = {"source": source, "target": target}
    return {name: ops.convert_to_tensor(np.asarray(x, "int32")) for name, x in given.items()}


def log_probabilities(logits):
    logits = np.asarray(logits, "float64")
    return logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)


@pytest.mark.parametrize("pre_norm", [True, False])
def test_padding_and_what_comes_after_change_nothing(pre_norm):
    model = network(pre_norm=pre_norm, tie_embeddings=pre_norm)
    forward = forward_of(model)
    (whole,) = forward(inputs([[3, 5, 4, 0, 0, 0]] * 2, [[1, 4, 7, 0, 0], [1, 4, 7, 5, 6]]))
    (alone,) = forward(inputs([[3, 5, 4]], [[1, 4, 7]]))
    np.testing.assert_allclose(whole[:, :3], np.repeat(alone, 2, 0), rtol=1e-4, atol=1e-5)
    (other,) = forward(inputs([[3, 5, 8]], [[1, 4, 7]]))
    assert np.abs(other - alone).max() > 1e-2  # the source is read
    (later,) = forward(inputs([[3, 5, 4]], [[1, 8, 7]]))
    assert np.abs(later - alone)[:, 1:].max() > 1e-2


@pytest.mark.once
def test_the_network_is_the_papers_by_hand():
    """NumPy: embeddings times √d and sines, norms before each part, attention over real places, a tied table."""
    model = network()
    source, target = np.array([[3, 5, 4, 0]]), np.array([[1, 4, 7]])
    weights = {layer.name: layer.get_weights() for layer in model.layers if layer.weights}
    table = weights["embedding"][0]
    angles = np.arange(4)[:, None] / 10_000.0 ** (np.arange(0, 8, 2) / 8)
    sines = np.stack([np.sin(angles), np.cos(angles)], -1).reshape(4, 8)

    def norm(x, name):
        gamma, beta = weights[name]
        return gamma * (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) + beta

    def heads(x):
        return x.reshape(len(x), -1, 4).transpose(1, 0, 2)

    def attended(q, k, v, seen):
        scores = np.where(seen, q @ k.transpose(0, 2, 1) / 2.0, -np.inf)
        p = np.exp(scores - scores.max(-1, keepdims=True))
        return (p / p.sum(-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(q.shape[1], 8)

    def itself(x, name, seen):
        kernel, bias, last, shift = weights[name]
        q, k, v = heads(norm(x, f"{name}_norm") @ kernel + bias).reshape(3, 2, -1, 4)
        return x + attended(q, k, v, seen) @ last + shift

    def mlp(x, name):
        (a, b), (c, d) = weights[f"{name}_1"], weights[f"{name}_2"]
        return x + np.maximum(norm(x, f"{name}_norm") @ a + b, 0) @ c + d

    real = source[0] != 0
    memory = itself(table[source[0]] * 8**0.5 + sines, "encoder_1_attention", real)
    memory = norm(mlp(memory, "encoder_1_mlp"), "encoder_norm")
    x = itself(table[target[0]] * 8**0.5 + sines[:3], "decoder_1_attention", np.tri(3, dtype=bool))
    qk, qb, kk, kb, vk, vb, last, shift = weights["decoder_1_across"]
    q = heads(norm(x, "decoder_1_across_norm") @ qk + qb)
    x = x + attended(q, heads(memory @ kk + kb), heads(memory @ vk + vb), real) @ last + shift
    theirs = norm(mlp(x, "decoder_1_mlp"), "decoder_norm") @ table.T
    ours = model.predict_on_batch({"source": source, "target": target})[0]
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_caches_and_beams_give_what_reading_everything_anew_gives():
    model, count = network(), 6
    forward = forward_of(model)

    def read(source, target):  # in one shape, which is compiled once
        rows = [[*row, *[0] * (7 - len(row))] for row in (source, target)]
        return log_probabilities(forward(inputs(*([row] for row in rows)))[0])[0, len(target) - 1]

    def searched(source, k):
        beams = [(0.0, [BEGIN])]
        for _ in range(count):
            grown = []
            for score, text in beams:
                if text[-1] == END:
                    grown.append((score, text))
                else:
                    row = read(source, text)
                    grown += [(score + row[i], [*text, i]) for i in range(SIZE)]
            beams = sorted(grown, key=lambda pair: -pair[0])[:k]
        lengths = [len(text) - 1 - (text[-1] == END) for _, text in beams]
        best = max(range(k), key=lambda i: beams[i][0] / ((6.0 + lengths[i]) / 6.0) ** 0.6)
        return [symbol for symbol in beams[best][1][1:] if symbol != END]

    options = dict(begin=BEGIN, end=END, batch_size=2)
    for k in (1, 3):
        ours = translate(model, SOURCES, count, num_beams=k, **options)
        assert [row.tolist() for row in ours] == [searched(source.tolist(), k) for source in SOURCES], k
    alone = translate(model, SOURCES[1:2], count, num_beams=3, **options)
    assert alone[0].tolist() == ours[1].tolist()


def test_a_file_gives_the_translator_back(tmp_path):
    model = network()
    model.save(tmp_path / "a.keras")
    again = keras.models.load_model(tmp_path / "a.keras")
    x = {"source": np.array([[3, 5, 0]]), "target": np.array([[1, 4]])}
    np.testing.assert_array_equal(*(one.predict_on_batch(x) for one in (model, again)))


@pytest.mark.once
def test_where_the_decoder_looks_is_shared_among_the_real_places():
    model = network(depth=2)
    found = across_weights(model, [[3, 5, 4, 0]], [[1, 4]])
    assert list(found) == ["decoder_1_across", "decoder_2_across"]
    for weights in found.values():
        assert weights.shape == (1, 2, 2, 4)
        np.testing.assert_allclose(weights.sum(-1), 1.0, atol=1e-5)
        np.testing.assert_array_equal(weights[..., 3], 0.0)
        assert weights[..., :3].std() > 1e-3


@pytest.mark.once
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(sources=[[3], []]), r"at least one number from 0 to 8\. Received: source 1"),
        (dict(sources=[[9]]), r"at least one number from 0 to 8"),
        (dict(begin=9), r"begin must be of the vocabulary, 0 to 8\. Received: begin=9"),
        (dict(num_beams=0), r"num_beams must be a whole number"),
    ],
)
def test_what_cannot_be_translated_is_told(change, message):
    options = dict(sources=SOURCES, max_new_tokens=3, begin=BEGIN, end=END) | change
    with pytest.raises(ValueError, match=message):
        translate(network(), **options)


@pytest.mark.once
def test_a_model_that_reads_one_text_translates_nothing():
    with pytest.raises(ValueError, match=r"a model of \{'source', 'target'\}"):
        translate(kzoo.create_model("makemore_gru", vocabulary_size=9), SOURCES, 3, begin=BEGIN, end=END)


@pytest.mark.once
def test_smoothing_is_keras_s_with_one_hot_targets_where_labels_count():
    labels = np.array([[2, 0, -1], [1, -1, -1]])
    logits = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
    kept = labels >= 0
    theirs = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2)
    wanted = theirs(np.eye(4, dtype="float32")[labels[kept]], logits[kept])
    ours = kzoo.losses.SmoothedCrossentropy(0.2, ignore_class=-1)(labels, logits)
    np.testing.assert_allclose(float(ours), float(wanted), rtol=1e-5)
    again = keras.losses.deserialize(keras.losses.serialize(kzoo.losses.SmoothedCrossentropy(0.2, -1)))
    assert (again.smoothing, again.ignore_class) == (0.2, -1)
    with pytest.raises(ValueError, match=r"smoothing must be at least 0 and below 1\. Received: smoothing=1"):
        kzoo.losses.SmoothedCrossentropy(1)


def test_it_is_exported_at_any_length_and_to_tflite_at_one(tmp_path):
    shapes = {"source": (1, 4), "target": (1, 3)}
    report = kzoo.export.export(network(), tmp_path, lengths=(3, 5), static_shape=shapes)
    found = {artefact.format: artefact.status for artefact in report.artefacts}
    assert found == dict.fromkeys(("savedmodel", "onnx", "tflite"), "passed"), report
    assert custom_operators(tmp_path / "model.tflite") == ()
