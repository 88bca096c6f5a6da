"""Array jobs: what is submitted (AWS: ArrayProperties) and what is seen of the elements (AWS: ArrayPropertiesDetail).

An element is known by its index, from 0 to size - 1, and is named `<job>:<index>`.

Hazards: what CEL cannot price is left to whoever reads the object. A range may end before it begins ("9-3"), an index
may be beyond the array's size, and what a ConfigMap holds is seen only when the job starts.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import ConfigDict, Field, StringConstraints

from batchwright.api.v1alpha1.common import ForeignName, Model, Reason, Text, Timestamp
from batchwright.api.v1alpha1.validation import AtLeast, Between, Matching, Rule, exactly_one, list_map, rules

# AWS Batch takes 10,000; an Indexed Job with backoffLimitPerIndex 100,000 (KEP-3850).
MAX_SIZE: Final = 100_000
MAX_ROWS: Final = 10_000
# Of a list in all: the API server gives one call of a rule a budget, and 120,000 compared names are within it (seen).
MAX_VALUES: Final = 100_000
MAX_AXES: Final = 10
# Beyond so many kinds of failure the rest is counted together.
MAX_FAILURE_GROUPS: Final = 20
_INDEXES = Matching(
    r"^[0-9]{1,5}(-[0-9]{1,5})?(,[0-9]{1,5}(-[0-9]{1,5})?)*$",
    "must be indexes and ranges of indexes, from 0 to 99999, such as 17 or 3,7-9",
)
IndexRanges = Annotated[str, StringConstraints(max_length=16384), _INDEXES]
FewIndexRanges = Annotated[str, StringConstraints(max_length=1024), _INDEXES]
# As the Job controller writes them; at worst every other element of 100,000.
SeenIndexes = Annotated[str, StringConstraints(max_length=700_000)]

_ITEM_NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"
_ITEM_NAME_FORM = "must be a name of letters, digits and '_' that does not begin with a digit"
_RESERVED = "names that begin with AWS_BATCH are reserved for Batchwright"
ItemName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=128),
    Matching(_ITEM_NAME, _ITEM_NAME_FORM),
    Rule("!self.startsWith('AWS_BATCH')", _RESERVED, reason="FieldValueForbidden"),
]
ItemValue = Annotated[str, StringConstraints(max_length=1024)]
ItemRow = Annotated[
    dict[Annotated[str, StringConstraints(min_length=1, max_length=128)], ItemValue],
    Field(min_length=1, max_length=50),
]
# The first item's names stand for those of all: names of each would be beyond what the API server lets rules cost.
ItemRows = Annotated[
    tuple[ItemRow, ...],
    Field(max_length=MAX_ROWS),
    AtLeast(2, "an array has 2 elements or more: for a single job leave arrayProperties out and give parameters"),
    Rule(
        f"self.size() == 0 || self[0].all(name, name.matches(r'{_ITEM_NAME}'))",
        f"the name of a parameter {_ITEM_NAME_FORM}",
    ),
    Rule(
        "self.size() == 0 || !self[0].exists(name, name.startsWith('AWS_BATCH'))",
        _RESERVED,
        reason="FieldValueForbidden",
    ),
    Rule(
        f"self.size() == 0 || self.size() * self[0].size() <= {MAX_VALUES}",
        f"a list has {MAX_VALUES} values at most, all parameters of all items together: keep a larger table in a file, "
        "and let each element read its row of it by AWS_BATCH_JOB_ARRAY_INDEX",
    ),
    Rule(
        f"self.size() == 0 || self.size() * self[0].size() > {MAX_VALUES} || "
        "self.all(row, row.size() == self[0].size() && row.all(name, name in self[0]))",
        "every item must have the same parameters as the first one: give an empty value where there is none",
    ),
]


def _combinations(matrix: str) -> str:
    """CEL: how many elements the matrix gives, as a double, which does not overflow."""
    factors = (f"({matrix}.size() > {n} ? double({matrix}[{n}].values.size()) : 1.0)" for n in range(MAX_AXES))
    return " * ".join(factors)


class ItemAxis(Model):
    """One parameter of a matrix, and the values it takes."""

    name: ItemName = Field(description="name of the parameter.")
    values: Annotated[tuple[ItemValue, ...], Field(min_length=1, max_length=MAX_ROWS)] = Field(
        description="values of the parameter, in order."
    )


ItemMatrix = Annotated[
    tuple[ItemAxis, ...],
    Field(min_length=1, max_length=MAX_AXES, json_schema_extra=list_map("name")),
    Rule(
        f"[{_combinations('self')}].all(elements, elements >= 2.0 && elements <= {MAX_SIZE}.0)",
        f"an array has 2 to {MAX_SIZE} elements, and this matrix another number of combinations: change the values, or "
        "for a single job leave arrayProperties out and give parameters",
    ),
]


class ItemsSource(Model):
    """A key of a ConfigMap that holds the list."""

    name: ForeignName = Field(description="name of a ConfigMap of the same namespace.")
    key: Annotated[
        str,
        StringConstraints(min_length=1, max_length=253),
        Matching(r"^[-._a-zA-Z0-9]+$", "must be a key of a ConfigMap: letters, digits, '-', '_' and '.'"),
    ] = Field(
        default="items",
        description="key of the ConfigMap: a YAML or JSON list, either of maps from parameter to value, or of plain "
        "values for the parameter `item`. Default items.",
    )


class ArrayItems(Model):
    """Parameters of each element: one element an entry."""

    model_config = ConfigDict(json_schema_extra=rules(exactly_one(("list", "matrix", "configMap"))))

    rows: ItemRows | None = Field(
        default=None,
        alias="list",
        description="list of maps from parameter to value, one an element; all have the same parameters.",
    )
    matrix: ItemMatrix | None = Field(
        default=None,
        description="matrix of named values: an element for each combination; the last parameter varies fastest.",
    )
    config_map: ItemsSource | None = Field(
        default=None, description="configMap that holds the list; it is read once, when the job starts."
    )


class ArrayProperties(Model):
    """Makes the job an array (AWS: ArrayProperties)."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule(
                "has(self.size) || has(self.items)",
                f"give size (2 to {MAX_SIZE}), or items (one element an item)",
                field_path=".size",
                reason="FieldValueRequired",
            ),
            Rule(
                "!has(self.size) || !has(self.items) || !has(self.items.list) || self.size == self.items.list.size()",
                "size must be the number of items in the list, or be left out",
                field_path=".size",
            ),
            Rule(
                "!has(self.size) || !has(self.items) || !has(self.items.matrix) || "
                f"double(self.size) == {_combinations('self.items.matrix')}",
                "size must be the number of combinations of the matrix, or be left out",
                field_path=".size",
            ),
        )
    )

    size: (
        Annotated[
            int,
            Between(2, MAX_SIZE, f"an array has 2 to {MAX_SIZE} elements: leave arrayProperties out for a single job"),
        ]
        | None
    ) = Field(
        default=None,
        description="size: how many elements, 2 to 100000. Element i sees i in AWS_BATCH_JOB_ARRAY_INDEX, from 0 up, "
        "and size in AWS_BATCH_JOB_ARRAY_SIZE. It may be left out where items say it.",
    )
    items: ArrayItems | None = Field(
        default=None,
        description="items give each element parameters of its own: as environment variables, and for Ref::name in "
        "the command.",
    )
    indexes: IndexRanges | None = Field(
        default=None,
        description='indexes to run, such as "3,7-9", where not all of them; what `batchwright retry` sets. Each has '
        "the index, the size and the items it has in the whole array.",
    )
    max_concurrency: (
        Annotated[int, Between(1, MAX_SIZE, f"must be 1 to {MAX_SIZE}: leave it out for no limit")] | None
    ) = Field(
        default=None,
        description="maxConcurrency: at most so many elements run at one time; without it, as many as there is room "
        "for.",
    )


class ElementsRequest(Model):
    """A request to end some elements of an array."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            Rule("self == oldSelf", "a request that was made cannot change: add another one", field_path=".reason")
        )
    )

    indexes: FewIndexRanges = Field(description='indexes of the elements, such as "17" or "3,7-9".')
    reason: Reason = Field(description="reason, which becomes the elements' statusReason.")


ElementsRequests = Annotated[tuple[ElementsRequest, ...], Field(max_length=64, json_schema_extra=list_map("indexes"))]


class StatusSummary(Model):
    """How many elements are in each state (AWS: statusSummary)."""

    submitted: int = Field(default=0, ge=0, alias="SUBMITTED", description="SUBMITTED elements.")
    pending: int = Field(default=0, ge=0, alias="PENDING", description="PENDING elements: they wait for dependencies.")
    runnable: int = Field(default=0, ge=0, alias="RUNNABLE", description="RUNNABLE elements: they wait for room.")
    starting: int = Field(default=0, ge=0, alias="STARTING", description="STARTING elements.")
    running: int = Field(default=0, ge=0, alias="RUNNING", description="RUNNING elements.")
    succeeded: int = Field(default=0, ge=0, alias="SUCCEEDED", description="SUCCEEDED elements.")
    failed: int = Field(default=0, ge=0, alias="FAILED", description="FAILED elements.")


class ElementFailures(Model):
    """Elements that failed in the same way."""

    indexes: SeenIndexes = Field(description='indexes of the elements, such as "3,7-9".')
    status_reason: Text | None = Field(default=None, description="statusReason of their last attempt.")
    exit_code: int | None = Field(default=None, description="exitCode; absent when there was none.")
    reason: Text | None = Field(default=None, description="reason: more on how the container ended.")


class ArrayPropertiesDetail(Model):
    """The elements of an array job (AWS: ArrayPropertiesDetail)."""

    size: int = Field(ge=1, description="size: how many elements the whole array has.")
    status_summary: StatusSummary = Field(
        default=StatusSummary(), description="statusSummary: how many elements are in each state."
    )
    status_summary_last_updated_at: Timestamp | None = Field(
        default=None, description="statusSummaryLastUpdatedAt: when statusSummary was last written."
    )
    succeeded_indexes: SeenIndexes = Field(default="", description='succeededIndexes, such as "0-41,57".')
    failed_indexes: SeenIndexes = Field(default="", description='failedIndexes, such as "42,44-56".')
    failures: Annotated[tuple[ElementFailures, ...], Field(max_length=MAX_FAILURE_GROUPS)] = Field(
        default=(), description="failures by how they ended, the first kind seen first; the last entry has the rest."
    )
