from typing import final

@final
class Coefficients: ...
