"""Parameter counts of every size, as the libraries and papers have them; nothing large is allocated."""

import math

import keras
import pytest
from cases.models import sources

import kzoo
from kzoo.backend.state import unallocated
from kzoo.models import catalog, multiply_adds

pytestmark = pytest.mark.once
COUNTS = {name: count for module in sources().values() for name, count in module.PARAMETERS.items()}


def trainable(model):
    """How many numbers are trained: the statistics of normalisations are not counted, as elsewhere."""
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)


@pytest.mark.parametrize("name", COUNTS)
def test_a_network_has_as_many_parameters_as_elsewhere(name):
    assert trainable(catalog.skeleton(name)) == COUNTS[name]


def test_nearly_every_size_is_counted():
    sized = {name for name, cost in catalog.costs().items() if "multiply_adds" in cost}
    assert len(sized & set(COUNTS)) > 0.7 * len(sized)


def test_the_table_of_costs_is_that_of_the_models():
    names = [name for name in kzoo.list_models() if _has_a_size(name)]
    assert sorted(name for name, cost in catalog.costs().items() if "multiply_adds" in cost) == names
    for name in names[::12]:
        model = catalog.skeleton(name)
        assert catalog.costs()[name] == {
            "parameters": trainable(model),
            "multiply_adds": multiply_adds(model),
        }


def test_language_models_have_their_parameters_in_the_table():
    first = [kzoo.list_models(family=family)[0] for family in catalog.FAMILIES]
    for name in (name for name in first if not _has_a_size(name)):
        try:
            expected = {"parameters": trainable(catalog.skeleton(name))}
        except ValueError:  # its vocabulary or its images' size are the data's
            expected = None
        assert catalog.costs().get(name) == expected, name
    assert kzoo.list_models("gpt2*", max_parameters=400e6) == ["gpt2", "gpt2_medium"]


def test_multiply_adds_are_those_of_the_papers():
    known = {"resnet18": 1.8e9, "resnet50": 4.1e9, "resnext50_32x4d": 4.2e9}
    for name, count in known.items():
        assert abs(catalog.costs()[name]["multiply_adds"] / count - 1) < 0.03, name


def test_models_are_listed_by_size_and_by_weights():
    small = kzoo.list_models("resnet*", max_parameters=1e6)
    assert small == ["resnet20", "resnet32", "resnet44", "resnet56"]
    assert kzoo.list_models(family="resnet", min_parameters=80e6, pretrained=True) == [
        "resnext101_32x8d",
        "resnext101_64x4d",
        "wide_resnet101_2",
    ]
    assert "mlp" in kzoo.list_models(pretrained=False) and "mlp" not in kzoo.list_models(max_parameters=1e9)


def test_a_skeleton_leaves_no_work_behind():
    from keras.src.backend.common import global_state

    before = len(global_state.get_global_attribute("uninitialized_variables") or [])
    catalog.skeleton("resnet18")
    assert len(global_state.get_global_attribute("uninitialized_variables") or []) == before


def test_work_that_fails_half_way_leaves_nothing_behind_either():
    from keras.src.backend.common import global_state

    before = len(global_state.get_global_attribute("uninitialized_variables") or [])
    with pytest.raises(RuntimeError, match="half way"), unallocated():
        keras.layers.Dense(2).build((None, 3))
        raise RuntimeError("half way")
    assert len(global_state.get_global_attribute("uninitialized_variables") or []) == before


def test_descriptions_show_sizes_and_no_functions():
    lines = [catalog.sizes_of(name) for name in kzoo.list_models()]
    assert not any("<" in line or "functools" in line for line in lines)
    assert "depths=(3, 4, 6, 3)" in catalog.sizes_of("resnet50")


def _has_a_size(name):
    try:
        catalog.published_shape(name)
    except ValueError:
        return False
    return True
