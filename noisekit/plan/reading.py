"""Keys and values as people write them, checked by pydantic; what is wrong is told in a sentence that names the place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from noisekit.errors import BadValue, NoisekitError, unknown
from noisekit.registry import printed

#: No count in a plan is this large.
BEYOND = 10**9


def _as_given(given: Any, check: ValidatorFunctionWrapHandler) -> Any:
    check(given)
    return given


Count = Annotated[int, Field(gt=-BEYOND, lt=BEYOND)]
Whole = Annotated[int, Field(ge=1, lt=BEYOND)]
#: A finite number. 60 stays 60 and does not become 60.0, since budgets are part of what images are found again by.
Number = Annotated[float, Field(allow_inf_nan=False), WrapValidator(_as_given)]
#: What a schema says of budgets' numbers, which are refused by `Budget` itself.
POSITIVE: dict[str, JsonValue] = {"exclusiveMinimum": 0}


class Keys(BaseModel):
    """Keys and values. Other keys than these are refused, and what is null counts as left out.

    Attributes:
        example: how such a mapping is written, for errors.
    """

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        arbitrary_types_allowed=True,
        use_attribute_docstrings=True,
    )
    example: ClassVar[str]

    @model_validator(mode="before")
    @classmethod
    def _without_null(cls, said: Any) -> Any:
        if not isinstance(said, Mapping):
            return said
        known = cls.key_names()
        return {str(key): value for key, value in said.items() if value is not None or key not in known}

    @classmethod
    def key_names(cls) -> list[str]:
        """The keys as they are written."""
        return [field.alias or name for name, field in cls.model_fields.items()]

    @classmethod
    def read(cls, said: Any, where: str) -> Self:
        """What a mapping says.

        Args:
            said: of the keys of this class, by their written names.
            where: its place in the plan, such as "methods[1].reno"; nothing for the plan itself.

        Raises:
            BadValue: with the place, where it is no such mapping.
        """
        try:
            return cls.model_validate(said)
        except ValidationError as error:
            raise cls.refusal(error, where) from None

    @classmethod
    def refusal(cls, error: ValidationError, where: str) -> NoisekitError:
        """The sentence about the first thing that is wrong; a key that nobody knows comes first, since it may be meant
        for one that is missing.
        """
        found = error.errors(include_url=False)
        first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
        context, given = first.get("ctx", {}), printed(first["input"])
        key = ".".join(map(str, first["loc"]))
        place = f"{where}.{key}" if where and key else where or key
        match first["type"]:
            case "value_error":
                wrong: Exception = context["error"]
                return wrong if isinstance(wrong, NoisekitError) else BadValue(f"{place}: {wrong}")
            case "extra_forbidden":
                return unknown(f"key in {where or 'plan'}:", key, cls.key_names())
            case "missing":
                return BadValue(f"{place} is missing; write {cls.example}")
            case "model_type":
                return BadValue(
                    f"{where or 'plan'} is {given}, where keys and values should be, as in {cls.example}"
                )
            case "bool_type":
                return BadValue(f"{place} is {given}, where true or false should be")
            case "literal_error":
                return BadValue(f"{place} {given} is not one of {context['expected']}")
            case "less_than" | "greater_than":
                return BadValue(
                    f"{place}={given} is beyond anything that could be computed; the most is {BEYOND - 1}"
                )
            case "int_type":
                return BadValue(f"{place}={given} is not a whole number")
            case "greater_than_equal":
                return BadValue(f"{place}={given} is not a whole number of {context['ge']} or more")
            case "float_type" | "finite_number":
                return BadValue(f"{place}={given} is not a number")
        return BadValue(f"{place} is {given}, which is of the wrong type ({first['msg']})")


@contextmanager
def at(where: str) -> Iterator[None]:
    """Put the place in front of an error's sentence."""
    try:
        yield
    except NoisekitError as error:
        raise type(error)(f"{where}: {error}") from None


def text(given: Any, where: str, what: str) -> str:
    """A text that is not empty, where `what` should be."""
    if not isinstance(given, str) or not given.strip():
        raise BadValue(f"{where} is {printed(given)}, where {what} should be")
    return given


def listed(given: Any, where: str, nothing: str) -> Iterator[tuple[str, Any]]:
    """One value or several, each with its place.

    Raises:
        BadValue: on an empty list, with what it leaves out.
    """
    if not isinstance(given, list | tuple):
        yield where, given
        return
    if not given:
        raise BadValue(f"{where} is empty; {nothing}")
    yield from ((f"{where}[{i}]", item) for i, item in enumerate(given))
