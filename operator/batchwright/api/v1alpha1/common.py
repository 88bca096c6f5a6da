"""What the kinds share: the base model, bounded types, conditions.

Every string, list and map is bounded, because the API server prices CEL rules by these bounds (KEP-2876) and because
nothing in a spec is trusted.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints
from pydantic.alias_generators import to_camel

from batchwright.api.v1alpha1.validation import Matching, Rule, list_map, rules

SUBDOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
NAME_FORM = "of lower case letters, digits, '-' and '.', that begins and ends with a letter or digit"
# AWS: names up to 128 of letters, digits, hyphen, underscore. Here they are object names (RFC 1123 subdomains).
MAX_NAME = 128
ObjectName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=MAX_NAME),
    Matching(f"^{SUBDOMAIN}$", f"must be the name of an object: a name {NAME_FORM}"),
]
# Names of objects of other kinds (ServiceAccount, PersistentVolumeClaim), which may be longer.
ForeignName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=253),
    Matching(f"^{SUBDOMAIN}$", f"must be the name of an object: a name {NAME_FORM}"),
]
# "name" or "name:revision", as AWS accepts in SubmitJob.
DefinitionName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=140),
    Matching(
        f"^{SUBDOMAIN}(:[1-9][0-9]{{0,8}})?$",
        "must be 'name' or 'name:revision' of a JobDefinition of the same namespace, such as hello or hello:3; "
        "an ARN is not taken here",
    ),
]
Text = Annotated[str, StringConstraints(max_length=1024)]
# AWS: `reason` of CancelJob and TerminateJob, up to 1024 characters.
Reason = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Argument = Annotated[str, StringConstraints(max_length=32768)]
Path = Annotated[
    str,
    StringConstraints(min_length=1, max_length=4096),
    Matching(r"^/[^:]*$", "must be an absolute path (it begins with /) without a colon"),
]
HostPathName = Annotated[
    # A pattern costs a twentieth of a split, and there are as many containers as ranges of nodes.
    Path, Rule("!self.matches('(^|/)[.][.](/|$)')", "must not contain .. (Kubernetes refuses it)")
]
Timestamp = Annotated[str, StringConstraints(max_length=40), Field(json_schema_extra={"format": "date-time"})]
State = Literal["ENABLED", "DISABLED"]
# Labels that select nodes and namespaces.
Labels = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=317)],
        Annotated[
            str,
            StringConstraints(max_length=63),
            Matching(
                r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$",
                "must be a label value: letters, digits, '-', '_' and '.', beginning and ending with a letter or digit",
            ),
        ],
    ],
    Field(max_length=64),
    Rule(
        "self.all(key, !format.qualifiedName().validate(key).hasValue())",
        "every key must be a label key, such as disk or example.com/disk",
    ),
]
# AWS: at most 50 tags, keys up to 128 characters, values up to 256.
Tags = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=128)],
        Annotated[str, StringConstraints(max_length=256)],
    ],
    Field(max_length=50),
]
OpenObject = dict[str, JsonValue]


class Model(BaseModel):
    """Base of every API model: frozen, camelCase on the wire; what a newer version adds is ignored when read.

    (Unknown fields that users write are the API server's to refuse or prune, by the schema.)
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="ignore",
        # Errors are logged, and what was given may be a password.
        hide_input_in_errors=True,
    )

    def to_wire(self) -> dict[str, Any]:
        """The object as it is written to the API server: camelCase, absent fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Condition(Model):
    """One condition, as `metav1.Condition`."""

    type: Word = Field(description="type of the condition in CamelCase.")
    status: Literal["True", "False", "Unknown"] = Field(description="status of the condition.")
    reason: Word = Field(description="reason is a CamelCase word for programs.")
    message: Annotated[str, StringConstraints(max_length=32768)] = Field(
        default="", description="message says to a person what holds and what to do."
    )
    last_transition_time: Timestamp = Field(description="lastTransitionTime is when status last changed.")
    observed_generation: int | None = Field(
        default=None, ge=0, description="observedGeneration is the generation this condition speaks of."
    )


Conditions = Annotated[tuple[Condition, ...], Field(max_length=16, json_schema_extra=list_map("type"))]


EnvironmentName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=256),
    Matching(r"^[ -<>-~]+$", "must be the name of an environment variable: printable ASCII without ="),
    Rule(
        "!self.startsWith('AWS_BATCH')",
        "names that begin with AWS_BATCH are reserved for Batchwright",
        reason="FieldValueForbidden",
    ),
]


class KeyValue(Model):
    """An environment variable, as AWS's KeyValuePair."""

    name: EnvironmentName = Field(
        description="name of the variable. Names that begin with AWS_BATCH are Batchwright's own."
    )
    value: Annotated[str, StringConstraints(max_length=32768)] = Field(default="", description="value of the variable.")


Environment = Annotated[tuple[KeyValue, ...], Field(max_length=256, json_schema_extra=list_map("name"))]


class ResourceRequirement(Model):
    """What a container asks, as AWS's ResourceRequirement."""

    # The lengths keep every quantity within 63 bits, in milli-CPU and in bytes.
    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "self.type != 'VCPU' || (self.value.matches('^[0-9]{1,6}([.][0-9]{1,3})?$') "
                "&& !self.value.matches('^[0.]+$'))",
                "a VCPU value is a decimal number above 0, such as 0.25, 1 or 16",
                field_path=".value",
            ),
            Rule(
                "self.type != 'MEMORY' || self.value.matches('^[1-9][0-9]{0,8}(Mi|Gi)?$')",
                "a MEMORY value is a whole number of MiB such as 2048 (or 2048Mi, 2Gi)",
                field_path=".value",
            ),
            Rule(
                "self.type != 'GPU' || self.value.matches('^[1-9][0-9]{0,4}$')",
                "a GPU value is a whole number from 1",
                field_path=".value",
            ),
        )
    )

    type: Literal["VCPU", "MEMORY", "GPU"] = Field(description="type of the resource: VCPU, MEMORY or GPU.")
    value: Annotated[str, StringConstraints(min_length=1, max_length=16)] = Field(
        description="value asked: VCPU as a decimal, MEMORY in MiB (a suffix Mi or Gi is allowed), GPU as a count."
    )


ResourceRequirements = Annotated[
    tuple[ResourceRequirement, ...], Field(max_length=3, json_schema_extra=list_map("type"))
]
Parameters = Annotated[
    dict[Word, Annotated[str, StringConstraints(max_length=8192)]],
    Field(max_length=256),
]
Command = Annotated[tuple[Argument, ...], Field(max_length=1024)]

ExitPattern = Annotated[
    str,
    StringConstraints(min_length=1, max_length=512),
    Matching(
        r"^[0-9]*[*]?$",
        "must be an exit code in digits; it may end in one *, which matches the rest (a * elsewhere is not allowed)",
    ),
]
ReasonPattern = Annotated[
    str,
    StringConstraints(min_length=1, max_length=512),
    Matching(
        r"^[0-9A-Za-z.:\s]*[*]?$",
        "must be letters, digits, '.', ':' and blanks; it may end in one *, which matches the rest "
        "(a * elsewhere is not allowed)",
    ),
]


class EvaluateOnExit(Model):
    """One retry rule: every pattern given must match (AWS: EvaluateOnExit)."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "has(self.onExitCode) || has(self.onReason) || has(self.onStatusReason)",
                "give at least one of onExitCode, onReason, onStatusReason",
            )
        )
    )

    action: Literal["RETRY", "EXIT", "retry", "exit", "Retry", "Exit"] = Field(
        description="action when all given patterns match: RETRY runs the job again, EXIT fails it."
    )
    on_exit_code: ExitPattern | None = Field(
        default=None, description="onExitCode matches the exit code in decimal; a trailing * matches the rest."
    )
    on_reason: ReasonPattern | None = Field(
        default=None, description="onReason matches the container's reason; a trailing * matches the rest."
    )
    on_status_reason: ReasonPattern | None = Field(
        default=None, description="onStatusReason matches the attempt's statusReason; a trailing * matches the rest."
    )


class RetryStrategy(Model):
    """How often a job runs (AWS: RetryStrategy)."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "!has(self.evaluateOnExit) || has(self.attempts)",
                "attempts must be given with evaluateOnExit",
                field_path=".attempts",
                reason="FieldValueRequired",
            )
        )
    )

    attempts: int | None = Field(
        default=None, ge=1, le=10, description="attempts in all, the first included: 1 to 10. Default 1."
    )
    evaluate_on_exit: Annotated[tuple[EvaluateOnExit, ...], Field(max_length=5)] | None = Field(
        default=None,
        description="evaluateOnExit rules, the first that matches decides; a failure that none matches is retried.",
    )


class Timeout(Model):
    """How long an attempt may run (AWS: JobTimeout)."""

    attempt_duration_seconds: int = Field(
        ge=1,
        le=31536000,
        description="attemptDurationSeconds counts from the attempt's startedAt. Then SIGTERM, and SIGKILL after "
        "30 s; a timed-out attempt is not retried. (AWS asks for 60 or more; here any whole second.)",
    )
