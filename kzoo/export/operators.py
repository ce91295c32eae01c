"""The operators of a TFLite file, read from the file alone: neither TensorFlow nor an interpreter is asked."""

from pathlib import Path

from kzoo.engine import require

FLEX = "Flex"  # how the names of operators begin that only TensorFlow itself has


def operators(path):
    """The names of a TFLite file's operators, sorted: `CONV_2D` for a built-in one, `FlexErf` for one of TensorFlow.

    Raises:
        ValueError: if it is no TFLite file.
    """
    schema = require("ai_edge_litert.schema_py_generated", "export")
    content = Path(path).read_bytes()
    if content[4:8] != b"TFL3":
        raise ValueError(f"not a TFLite file. Received: {path}")
    builtin = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
    model, names = schema.Model.GetRootAs(content, 0), set()
    for index in range(model.OperatorCodesLength()):
        code = model.OperatorCodes(index)
        # Files from before 2020 keep the number in a byte of its own.
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        custom = number == schema.BuiltinOperator.CUSTOM
        names.add((code.CustomCode() or b"").decode() if custom else builtin.get(number, str(number)))
    return tuple(sorted(names))


def custom_operators(path):
    """Those operators of a TFLite file that the stock interpreter does not have by itself."""
    return tuple(name for name in operators(path) if name != name.upper() or not name)


def flex_operators(path):
    """Those operators of a TFLite file that need TensorFlow's Flex delegate."""
    return tuple(name for name in operators(path) if name.startswith(FLEX))
