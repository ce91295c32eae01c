"""Which models there are: `create_model` makes one by name, `list_models` lists them."""

import fnmatch
import functools
import importlib
import inspect
import json
from pathlib import Path

from kzoo.engine import unknown

# A family is a module with `SIZES` (model name: arguments) and a function of the module's own name. That function's
# positional arguments are what the data decides: `image_shape` and `num_classes` of images, `vocabulary_size` of text.
# Constants of the same names in capitals say what it was published for, for all or by name; else it is `USUAL`.
FAMILIES = {
    "mlp": "kzoo.models.vision.mlp",
    "cnn": "kzoo.models.vision.cnn",
    "lenet": "kzoo.models.vision.lenet",
    "alexnet": "kzoo.models.vision.alexnet",
    "vgg": "kzoo.models.vision.vgg",
    "googlenet": "kzoo.models.vision.googlenet",
    "inception_v3": "kzoo.models.vision.inception_v3",
    "inception_v4": "kzoo.models.vision.inception_v4",
    "inception_resnet": "kzoo.models.vision.inception_resnet",
    "xception": "kzoo.models.vision.xception",
    "resnet": "kzoo.models.vision.resnet",
    "vit": "kzoo.models.vision.vit",
    "deit": "kzoo.models.vision.deit",
    "swin": "kzoo.models.vision.swin",
    "capsnet": "kzoo.models.vision.capsnet",
    "resnet_v2": "kzoo.models.vision.resnet_v2",
    "wide_resnet": "kzoo.models.vision.wide_resnet",
    "densenet": "kzoo.models.vision.densenet",
    "convnext": "kzoo.models.vision.convnext",
    "mobilenet_v1": "kzoo.models.vision.mobilenet_v1",
    "mobilenet_v2": "kzoo.models.vision.mobilenet_v2",
    "mobilenet_v3": "kzoo.models.vision.mobilenet_v3",
    "efficientnet": "kzoo.models.vision.efficientnet",
    "efficientnet_v2": "kzoo.models.vision.efficientnet_v2",
    "makemore_bigram": "kzoo.models.text.makemore_bigram",
    "makemore_mlp": "kzoo.models.text.makemore_mlp",
    "makemore_wavenet": "kzoo.models.text.makemore_wavenet",
    "makemore_recurrent": "kzoo.models.text.makemore_recurrent",
    "makemore_transformer": "kzoo.models.text.makemore_transformer",
    "gpt": "kzoo.models.text.gpt",
    "bert": "kzoo.models.text.bert",
    "translation": "kzoo.models.text.translation",
    "text_classifier": "kzoo.models.text.text_classifier",
    "autoencoder": "kzoo.models.generative.autoencoder",
    "vae": "kzoo.models.generative.vae",
    "vq_vae": "kzoo.models.generative.vq_vae",
    "dcgan": "kzoo.models.generative.dcgan",
    "diffusion_unet": "kzoo.models.generative.diffusion_unet",
}
USUAL = {"image_shape": (224, 224, 3), "num_classes": 1000}


def list_models(
    pattern="*", family=None, *, kind=None, min_parameters=None, max_parameters=None, pretrained=None
):
    """The names of the models that match.

    Args:
        pattern: as in a shell: `"resnet*"`.
        family: only this family's.
        kind: only those of one kind: `"vision"`, `"text"`, `"generative"` …
        min_parameters, max_parameters: of the model at its published image size and number of classes. Models that
            have neither, such as `mlp`, are left out.
        pretrained: `True` for those with published weights, `False` for those without.

    Raises:
        ValueError: for an unknown family or kind.
    """
    if family is not None and family not in FAMILIES:
        raise unknown("family", family, FAMILIES)
    kinds = list(dict.fromkeys(map(kind_of, FAMILIES)))
    if kind is not None and kind not in kinds:
        raise unknown("kind of model", kind, kinds)
    families = [key for key in ([family] if family else FAMILIES) if kind in (None, kind_of(key))]
    names = [name for key in families for name in _module(key).SIZES]
    names = fnmatch.filter(names, pattern)
    if min_parameters is not None or max_parameters is not None:
        low, high = min_parameters or 0, float("inf") if max_parameters is None else max_parameters
        known = costs()
        names = [name for name in names if name in known and low <= known[name]["parameters"] <= high]
    if pretrained is not None:
        from kzoo.weights.catalog import names_with_weights

        names = [name for name in names if (name in names_with_weights()) == pretrained]
    return sorted(names)


@functools.cache
def costs():
    """Model name to (trained) `parameters` and `multiply_adds` at its published image size and number of classes.

    Models of texts of any length have `parameters` alone.
    """
    return json.loads(Path(__file__).with_name("costs.json").read_text())


def create_model(name, *, image_shape=None, num_classes=None, pretrained=False, **kwargs):
    """Makes a model by its name.

    Args:
        name: one of `list_models()`.
        image_shape: `(height, width, channels)`; by default as published. For image models.
        num_classes: number of logits; 0 gives the features before the head; by default as published, or as many as a
            checkpoint has.
        pretrained: `True` for published weights, from the first source that `kzoo.weights.published(name)` lists,
            those of GPT-2 and BERT from the Hugging Face Hub; a source, `"torchvision"`, or one of its sets,
            `"torchvision:IMAGENET1K_V2"`; or a checkpoint of your own in that library's format,
            `"timm:path/to/file.safetensors"`; of Transformers also a folder, or a name on the
            Hugging Face Hub, `"transformers:openai-community/gpt2"`. A head for another number of classes starts fresh,
            the first convolution is adapted to other channels, learned positions to another image size.
        **kwargs: anything else the family's function takes, e.g. `dropout=0.1`, or `vocabulary_size=27` of a language
            model; overrides the size's own.

    Returns:
        A built `keras.Model`.

    Raises:
        ValueError: for an unknown name or argument (the nearest are suggested), one that is missing, or an image that
            does not fit.
    """
    if pretrained:
        from kzoo.weights.pretrained import create

        return create(name, pretrained, image_shape, num_classes, kwargs)
    family = family_of(name)
    module = _module(family)
    decided, known = _arguments(family)
    given = {"image_shape": image_shape, "num_classes": num_classes}
    given = {key: value for key, value in given.items() if value is not None} | kwargs
    for key in given:
        if key not in (*decided, *known):
            raise unknown(f"argument of {name}", key, [*decided, *known])
    data = [given.pop(key) if key in given else _published(name, key) for key in decided]
    return getattr(module, family)(*data, **{"name": name, **module.SIZES[name], **given})


def _arguments(family):
    """The names of a family's arguments: those that the data decides, and the others."""
    parameters = inspect.signature(getattr(_module(family), family)).parameters.values()
    decided = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    return decided, [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]


def _published(name, key):
    """What a model was published for.

    Raises:
        ValueError: if the data alone decides it.
    """
    value = _by_name(_module(family_of(name)), key.upper(), name, USUAL.get(key))
    if value is None and key == "image_shape":
        raise ValueError(f"{name} has no image size of its own: give image_shape=(height, width, channels)")
    if value is None:
        raise ValueError(f"{name} needs to know the data's {key}: give it. Received: {key}=None")
    return value


def decided_by_data(name):
    """The arguments of a model that its data decides: `image_shape` and `num_classes`, or `vocabulary_size`."""
    return _arguments(family_of(name))[0]


def published_shape(name):
    """The image shape that a model was published for.

    Raises:
        ValueError: if it was not published for one, or takes no images.
    """
    if "image_shape" not in decided_by_data(name):
        raise ValueError(f"{name} takes no images. Received: name={name!r}")
    return _published(name, "image_shape")


def small_image_arguments(name):
    """The arguments that suit a model to images of about 30 pixels: its family's `SMALL_IMAGES`, or a small stem."""
    family = family_of(name)
    module = _module(family)
    stem = "stem" in inspect.signature(getattr(module, family)).parameters
    return dict(getattr(module, "SMALL_IMAGES", {"stem": "small"} if stem else {}))


def _by_name(module, what, name, usual):
    values = getattr(module, what, usual)
    return values.get(name, usual) if isinstance(values, dict) else values


def skeleton(name, **kwargs):
    """As `create_model`, but the variables have shapes and no values, so that the largest network costs nothing."""
    from kzoo.backend.state import unallocated

    with unallocated():
        return create_model(name, **kwargs)


def family_of(name):
    """The family of a model.

    Raises:
        ValueError: if there is no such model. The nearest names are suggested.
    """
    for family in FAMILIES:
        if name in _module(family).SIZES:
            return family
    raise unknown("model", name, list_models())


def kind_of(family):
    """What a family is for: the room it is in, `"vision"` or `"text"`."""
    return FAMILIES[family].split(".")[2]


def describe_family(family):
    """A family's one-line description: the first line of its module."""
    return _module(family).__doc__.splitlines()[0]


def sizes_of(name):
    """What sets this model apart in its family, as text."""
    sizes = _module(family_of(name)).SIZES[name]
    return ", ".join(f"{key}={value}" for key, value in sizes.items() if _plain(value))


def _plain(value):
    """Whether a size can be read at a glance: numbers and words, and few of them; no functions, no tables."""
    values = value if isinstance(value, tuple) else (value,)
    return len(values) < 6 and all(isinstance(one, (int, float, str)) for one in values)


def _module(family):
    return importlib.import_module(FAMILIES[family])
