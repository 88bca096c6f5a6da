"""The part of the `kubernetes` package that reads kubeconfigs, without the rest.

The package imports all it has as soon as any part of it is asked for: two clients, their generated objects, an OAuth
library. That is half a second of CPU at the start of each command and of the operator, and none of it is called.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec, module_from_spec
from typing import Any, Final

# Both, because the outer one imports what is beside `aio`, and `aio` what is beside `config`.
_OUTER: Final = ("kubernetes", "kubernetes.aio")


def spare_the_package() -> None:
    """Has parts of `kubernetes` imported from here on without the whole: each is found where it is, and the packages
    around it are not run. Does nothing where somebody has imported it before.

    Afterwards a part has to be imported by its own name (`import kubernetes.config`), as everybody does.
    """
    for name in _OUTER:
        if name in sys.modules:
            continue
        spec = find_spec(name)
        if spec is not None:
            sys.modules[name] = module_from_spec(spec)


def kubeconfig_reader() -> tuple[Any, Any]:
    """The library's `Configuration` and its module `config`."""
    spare_the_package()
    from kubernetes.aio import config
    from kubernetes.aio.client.configuration import Configuration

    return Configuration, config
