"""Where latent diffusion happens: the codes of an autoencoder that has been trained before and stays as it is."""

import math

import keras
import numpy as np
from keras import ops

from kzoo.layers.arguments import check_positive


@keras.saving.register_keras_serializable("kzoo")
class LatentSpace(keras.Layer):
    """Images to codes of about unit variance, and back.

    ```python
    space = LatentSpace.of(vae, images, code_shape=(4, 4, 4))
    unet = kzoo.create_model("diffusion_unet_small", image_shape=space.code_shape, num_classes=10, patch_size=1)
    learner = kzoo.learners.Diffusion(unet, latents=space)
    ```

    Rombach et al. (2022), High-Resolution Image Synthesis with Latent Diffusion Models, arXiv:2112.10752, section 3 and
    appendix G: codes are multiplied by one number, the inverse of their deviation over some images. Both networks stay
    as they are.

    Args:
        encoder: a built model, images between 0 and 1 to codes. Of several outputs, as those of a variational encoder,
            the one named `"mean"`, or the first, is taken.
        decoder: a built model, codes to images.
        scale: what codes are multiplied by.
        code_shape: `(h, w, c)`, how vectors are laid out for a U-Net; by default the codes' own.
        logits: whether the decoder's images are logits, which a sigmoid brings between 0 and 1.
    """

    def __init__(self, encoder, decoder, scale=1.0, code_shape=None, logits=False, **kwargs):
        super().__init__(**kwargs)
        check_positive(scale=scale)
        own = tuple(_codes(encoder.output).shape)[1:]
        shape = own if code_shape is None else tuple(code_shape)
        if len(shape) != 3 or None in own or math.prod(shape) != math.prod(own):
            raise ValueError(
                f"code_shape must be (h, w, c) of as many numbers as a code. Received: code_shape={code_shape} for "
                f"codes of shape {own}"
            )
        self.encoder, self.decoder, self.scale, self.logits = encoder, decoder, scale, logits
        self.code_shape = shape
        self.trainable = False
        self.built = True

    @classmethod
    def of(cls, model, images, code_shape=None, batch_size=256):
        """The space of a trained model with layers `encoder` and `decoder`, with the scale that these images ask for.

        A decoder that ends in a layer `logits`, as a VAE's, gives logits.
        """
        encoder, decoder = model.get_layer("encoder"), model.get_layer("decoder")
        codes = _codes(encoder.predict(images, batch_size=batch_size, verbose=0))
        scale = float(1 / max(np.std(codes), 1e-8))
        return cls(encoder, decoder, scale, code_shape, logits=decoder.layers[-1].name == "logits")

    def encode(self, images):
        """Tensors: `(b, h, w, c)` between 0 and 1 to codes, `(b, *code_shape)`."""
        codes = ops.cast(_codes(self.encoder(images, training=False)), keras.config.floatx())
        return ops.reshape(ops.stop_gradient(codes), (-1, *self.code_shape)) * self.scale

    def decode(self, codes):
        """NumPy: codes to images between 0 and 1."""
        own = _codes(self.encoder.output).shape[1:]
        codes = np.asarray(codes).reshape(-1, *own) / self.scale
        images = self.decoder.predict(codes, batch_size=64, verbose=0)
        return 0.5 * (1 + np.tanh(0.5 * images)) if self.logits else np.clip(images, 0, 1)

    call = encode

    def get_config(self):
        models = {
            name: keras.saving.serialize_keras_object(getattr(self, name)) for name in ("encoder", "decoder")
        }
        own = {"scale": self.scale, "code_shape": self.code_shape, "logits": self.logits}
        return super().get_config() | models | own

    @classmethod
    def from_config(cls, config):
        models = {
            name: keras.saving.deserialize_keras_object(config[name]) for name in ("encoder", "decoder")
        }
        return cls(**config | models)


def _codes(outputs):
    """The codes among what an encoder gives."""
    if isinstance(outputs, dict):
        return outputs["mean"] if "mean" in outputs else next(iter(outputs.values()))
    return outputs[0] if isinstance(outputs, list | tuple) else outputs
