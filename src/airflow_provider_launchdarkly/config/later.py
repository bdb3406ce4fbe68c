"""Models within a model that are imported and built where their field is given: most users leave most fields out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import core_schema

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue


class Later:
    """Annotates ``Any`` in a model's field: the field takes another model, and has its errors and its JSON schema.

    Args:
        load: Imports the other model and returns it.
    """

    def __init__(self, load: Callable[[], type[BaseModel]]) -> None:
        self.load = load

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self._read)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        model = self.load()
        model.model_rebuild()
        # As the items of a list, the model gets a definition of its own.
        listed: JsonSchemaValue = handler(core_schema.list_schema(model.__pydantic_core_schema__))
        return dict(listed["items"])

    def _read(self, value: Any) -> BaseModel:
        # pydantic takes the errors of a validation within a validation for its own, with their paths.
        return self.load().model_validate(value)
