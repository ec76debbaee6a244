from typing import final

@final
class Stages:
    @property
    def skipped(self) -> bool: ...
    @property
    def norm(self) -> float | None: ...
