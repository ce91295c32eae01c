"""What metrics of a network's features share."""

import keras


class MetricOfFeatures(keras.metrics.Metric):
    """A metric that looks at what a network says of examples, and is saved with that network.

    Args:
        feature_extractor: a built model whose outputs are features `(b, dim)`, run without training; `None` if examples
            are features already.
        **kwargs: of `keras.metrics.Metric`.
    """

    def __init__(self, feature_extractor=None, **kwargs):
        super().__init__(**kwargs)
        self.feature_extractor = feature_extractor

    def features_of(self, examples):
        """Examples as features."""
        return (
            examples if self.feature_extractor is None else self.feature_extractor(examples, training=False)
        )

    def get_config(self):
        extractor = self.feature_extractor
        saved = None if extractor is None else keras.saving.serialize_keras_object(extractor)
        return super().get_config() | {"feature_extractor": saved}

    @classmethod
    def from_config(cls, config):
        extractor = config.get("feature_extractor")
        if extractor is not None:
            extractor = keras.saving.deserialize_keras_object(extractor)
        return cls(**config | {"feature_extractor": extractor})
