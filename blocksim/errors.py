"""Errors that a user can mend: one line that names the file, the field, the value and the remedy."""

from __future__ import annotations


class BlocksimError(Exception):
    """An input that cannot be used. The command line prints it in one line and exits with 2.

    Parameters
    ----------
    where : object
        The file or object.
    field : object
        The field, tensor or operator in it.
    value : object
        What was found there.
    remedy : str
        What would be right.
    """

    def __init__(self, where: object, field: object, value: object, remedy: str) -> None:
        self.where, self.field, self.value, self.remedy = str(where), str(field), str(value), remedy
        super().__init__(" ".join(f"{self.where}: {self.field}: {self.value}: {remedy}".split()))

    def __reduce__(self) -> tuple[type[BlocksimError], tuple[str, str, str, str]]:
        """How it goes from one process to another."""
        return type(self), (self.where, self.field, self.value, self.remedy)
