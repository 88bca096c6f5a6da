"""Templates of the chart that are made of what the operator has already: its CRDs and its admission policies.

Hazard: Helm reads `{{` in them as its own, so what is inserted as text is escaped.
"""

from __future__ import annotations

from typing import Any

import yaml

from batchwright.workloads.attemptpolicy import build_attempt_binding, build_attempt_policy
from batchwright.workloads.elementpolicy import build_element_binding, build_element_policy

_METADATA = """\
  labels:
    {{- include "batchwright.labels" . | nindent 4 }}
  {{- if .Values.crds.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
"""


def crd_template(crd: dict[str, Any]) -> str:
    """A CustomResourceDefinition as a template that `crds.enabled` switches and `crds.keep` protects."""
    return f"{{{{- if .Values.crds.enabled }}}}\n{_object(crd)}{{{{- end }}}}\n"


def policies_template() -> str:
    """The admission policies and their bindings, which the operator otherwise applies itself."""
    objects = (
        build_attempt_policy(),
        build_attempt_binding(),
        build_element_policy(),
        build_element_binding(),
    )
    text = "---\n".join(_object(each) for each in objects)
    return f'{{{{- if include "batchwright.admissionPolicies" . }}}}\n{text}{{{{- end }}}}\n'


def _object(manifest: dict[str, Any]) -> str:
    head = {"apiVersion": manifest["apiVersion"], "kind": manifest["kind"]}
    return (
        _dump(head)
        + f"metadata:\n  name: {manifest['metadata']['name']}\n{_METADATA}"
        + escape(_dump({"spec": manifest["spec"]}))
    )


def _dump(value: dict[str, Any]) -> str:
    return yaml.safe_dump(value, sort_keys=False, width=120, allow_unicode=True)


def escape(text: str) -> str:
    """The text as Helm prints it again."""
    return text.replace("{{", '{{ "{{" }}')
