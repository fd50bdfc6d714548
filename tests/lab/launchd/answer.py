"""What launchctl answers: an exit code, which is the number of the error, and its words."""

TEXTS = {
    1: "Operation not permitted",
    2: "No such file or directory",
    3: "No such process",
    5: "Input/output error",
    17: "File exists",
    36: "Operation now in progress",
    37: "Operation already in progress",
    109: "Invalid property list",
    110: "Invalid or missing service identifier",
    111: "Invalid or missing Program/ProgramArguments",
    112: "Could not find specified domain",
    113: "Could not find specified service",
    114: "The specified user name does not exist",
    119: "Service is disabled",
    122: "Path had bad ownership/permissions",
    124: "Domain is tearing down",
    125: "Domain does not support specified action",
    134: "Service cannot load in requested session",
    150: "Operation not permitted while System Integrity Protection is engaged",
    161: "Unknown error: 161",
}


class Answer(Exception):
    """Ends a request."""

    def __init__(self, code, err="", out=""):
        super().__init__(code)
        self.code, self.err, self.out = code, err, out


def failure(words, answer):
    """`Boot-out failed: 3: No such process`, unless the answer has words of its own."""
    if answer.err or answer.code not in TEXTS:
        return answer
    return Answer(answer.code, words.format(f"{answer.code}: {TEXTS[answer.code]}") + "\n")


def bootstrap_failure(answer, path, uid):
    """Root hears what is wrong, others nearly always 5 (chenhg5/cc-connect#35, DeterminateSystems/nix-installer#530)."""
    if answer.code in (64, 112, 124, 125):
        return failure("Bootstrap failed: {}", answer)
    if uid != 0:
        told = failure("Bootstrap failed: {}", Answer(answer.code if answer.code in (1, 17, 37) else 5))
        return Answer(told.code, told.err + "Try re-running the command as root for richer errors.\n")
    told = failure("Bootstrap failed: {}", Answer(answer.code))
    return Answer(told.code, (f"{path}: {answer.err or TEXTS[told.code]}\n" if told.code != 5 else "") + told.err)
