"""The models by name: a module of `model_neural/` defines one network with its settings, and is found by its name."""

import dataclasses
import importlib
import importlib.util
import inspect
import pkgutil
import traceback

from torch import nn

import model_neural
from model_baseline import Linear, LinearConfig
from utils import InputError
from utils.settings import nearest

NO_MODELS = ("contrastive",)  # modules of `model_neural` that hold something else


def network_names() -> list[str]:
    """The names of the networks, one for each module of `model_neural`, the project's own and the student's alike."""
    modules = (module.name for module in pkgutil.iter_modules(model_neural.__path__))
    return sorted(name for name in modules if name not in NO_MODELS and not name.startswith("_"))


def model_names() -> list[str]:
    """ "linear" and the names of the networks."""
    return ["linear", *network_names()]


def find_model(name: str) -> tuple[type[nn.Module], type]:
    """A model's class and that of its settings.

    Raises:
        InputError: there is no such module, it cannot be imported, or it does not define exactly one network with a
            dataclass of settings beside it, `MyNet` and `MyNetConfig`.
    """
    if name == "linear":
        return Linear, LinearConfig
    if not isinstance(name, str) or name not in network_names():
        missing = f": there is no model_neural/{name}.py" if isinstance(name, str) else ""
        raise InputError(f"unknown name {name!r}{missing}; {nearest(name, model_names())}")
    where = f"model_neural/{name}.py"
    try:
        module = importlib.import_module(f"model_neural.{name}")
    except Exception as error:  # whatever a student's module raises
        raise InputError(f"{place_of(error, name)}: {type(error).__name__}: {error}") from None
    classes = [kind for kind in vars(module).values() if inspect.isclass(kind) and kind.__module__ == module.__name__]
    names = {kind.__name__: kind for kind in classes}
    networks = [kind for kind in classes if issubclass(kind, nn.Module)]
    found = [(kind, names[f"{kind.__name__}Config"]) for kind in networks if f"{kind.__name__}Config" in names]
    if len(found) != 1:
        has = " and ".join(kind.__name__ for kind, _ in found) or "none"
        also = f"; its classes are {', '.join(kind.__name__ for kind in classes)}" if classes and not found else ""
        raise InputError(
            f"{where}: must define exactly one network with its settings, as `class Net(nn.Module)` and a "
            f"dataclass `NetConfig`; it has {has}{also}"
        )
    network, settings = found[0]
    if not dataclasses.is_dataclass(settings) or "n_mels" not in {field.name for field in dataclasses.fields(settings)}:
        raise InputError(f"{where}: {settings.__name__} must be a dataclass with the field `n_mels: int`")
    return network, settings


def place_of(error: Exception, name: str) -> str:
    """ "model_neural/mine.py, line 7": the last line of a model's module that ran, or that cannot be parsed."""
    places = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError):
        places.append((error.filename or "", error.lineno))
    package = "model_baseline" if name == "linear" else "model_neural"
    found = importlib.util.find_spec(f"{package}.{name}")
    lines = [line for file, line in places if found is not None and file == found.origin]
    return f"{package}/{name}.py" + (f", line {lines[-1]}" if lines else "")
