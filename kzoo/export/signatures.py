"""The signatures of a SavedModel for TensorFlow Serving: what a client may call, under which names.

serving_default   the model's own named tensors
classify_images   image_bytes: encoded pictures (n,) -> labels, scores (n, k), the likeliest first
classify          inputs: serialized tf.Example (n,) with image/encoded -> classes, scores: the Classify API
"""

import tensorflow as tf

from kzoo.data.preprocessing import Preprocessing
from kzoo.export.pixels import read_batch
from kzoo.export.runners import SIGNATURE
from kzoo.export.tracing import trace

IMAGES, CLASSIFY, FEATURE = "classify_images", "classify", "image/encoded"
TOP = 5  # labels that a classifier answers with
METHOD = "tensorflow/serving/classify"


def save_servable(model, path, card=None):
    """Writes a SavedModel directory with every signature that fits the model.

    Args:
        model: a Keras model on the TensorFlow engine.
        path: the directory.
        card: the card of an image classifier, or `None`: then `serving_default` is the only signature.

    Returns:
        The names of the signatures.
    """
    infer, _ = trace(model, inline=False)
    signatures = {SIGNATURE: infer.get_concrete_function()}
    if card is not None:
        signatures |= _classifying(infer, card)
    module = tf.Module()
    module.variables_of_model = [variable.value for variable in model.variables]
    # The gradient of swish refers to tensors that a frozen graph does not have any more.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(module, str(path), signatures=signatures, options=options)
    if CLASSIFY in signatures:
        updater = tf.compat.v1.saved_model.signature_def_utils.MethodNameUpdater(str(path))
        updater.replace_method_name(signature_key=CLASSIFY, method_name=METHOD)
        updater.save()
    return list(signatures)


def _classifying(infer, card):
    preprocessing = Preprocessing.from_dict(card["preprocessing"])
    names = [str(label) for label in card["labels"]]
    top = min(TOP, len(names))

    def classify(pictures):
        (scores,) = infer(read_batch(pictures, preprocessing)).values()
        if card.get("outputs", "logits") == "logits":
            scores = tf.nn.softmax(scores)
        scores, places = tf.math.top_k(scores, top)
        return tf.gather(tf.constant(names), places), scores

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
    def classify_images(image_bytes):
        labels, scores = classify(image_bytes)
        return {"labels": labels, "scores": scores}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "inputs")])
    def classify_examples(inputs):
        examples = tf.io.parse_example(inputs, {FEATURE: tf.io.FixedLenFeature([], tf.string)})
        labels, scores = classify(examples[FEATURE])
        return {"classes": labels, "scores": scores}

    functions = {IMAGES: classify_images, CLASSIFY: classify_examples}
    return {name: function.get_concrete_function() for name, function in functions.items()}
