"""The base of every model that users write in a file or a DAG."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from airflow_provider_launchdarkly.config.problems import InvalidSettingError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    # Type checkers read each model's own signature.
    from pydantic._internal._model_construction import ModelMetaclass as _ModelKind
else:

    class _ModelKind(type(BaseModel)):
        """The class of the models: calling one raises an error in plain words."""

        # Not `__init__`: pydantic would call that for each model within a model, and lose the path of an error there.
        def __call__(cls, *arguments: Any, **fields: Any) -> Any:
            try:
                return super().__call__(*arguments, **fields)
            except ValidationError as error:
                raise InvalidSettingError.of(cls.__name__, error) from None


class StrictModel(BaseModel, metaclass=_ModelKind):
    """A model that rejects unknown fields and infinite numbers, and cannot be changed once it is made.

    Raises:
        InvalidSettingError: A field is wrong. It is a ValueError, and names each wrong field, its value and the cure.
    """

    # Pydantic builds a validator when it is first used: a DAG file that only names a model does not pay for it.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, allow_inf_nan=False)

    if not TYPE_CHECKING:

        def __setattr__(self, name: str, value: Any) -> None:
            try:
                super().__setattr__(name, value)
            except ValidationError as error:
                raise InvalidSettingError.of(type(self).__name__, error) from None

    @classmethod
    def read(cls, value: Mapping[str, Any]) -> Self:
        """Read the model from plain JSON.

        Raises:
            InvalidSettingError: A field is wrong.
        """
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            raise InvalidSettingError.of(cls.__name__, error) from None
