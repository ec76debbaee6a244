"""What ``gdcore train`` warns of, told apart."""


def of_the_table(err):
    """Return the warnings but for those of a short run's outcome, which is not what a test of tables looks at."""
    outcome = ("gdcore: warning: the train ", "gdcore: warning: the validation ", "gdcore: warning: the model ")
    return "".join(line for line in err.splitlines(keepends=True) if not line.startswith(outcome))
