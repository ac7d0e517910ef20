"""Published repositories at toy size, file by file as their publishers laid them out: see `repositories.REPOSITORIES`."""

from tests.layouts.repositories import REPOSITORIES
from tests.layouts.writing import publish, stored

__all__ = ["REPOSITORIES", "publish", "stored"]
