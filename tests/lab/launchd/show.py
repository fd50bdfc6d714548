"""What `launchctl print` shows, in the layouts of macOS 12, 14, 26 and 27.

The layouts are those of transcripts that people published in their bug reports; launchctl(1) promises nothing. A block
is followed by an empty line, indentation is tabs, and a list of properties that is empty leaves a blank at the end.
"""

SIGNALS = {
    1: "Hangup",
    2: "Interrupt",
    3: "Quit",
    6: "Abort trap",
    9: "Killed",
    11: "Segmentation fault",
    15: "Terminated",
}
EX_NAMES = {64: "EX_USAGE", 69: "EX_UNAVAILABLE", 70: "EX_SOFTWARE", 75: "EX_TEMPFAIL", 77: "EX_NOPERM", 78: "EX_CONFIG"}
SPAWN_TYPES = {"Interactive": "interactive (4)", "Background": "background (5)", "Adaptive": "adaptive (6)"}


def job(job):
    """One job, as `launchctl print DOMAIN/LABEL` has it."""
    newer = job.mac.layout >= 26
    plist = job.plist
    lines = [f"{job.target} = {{"]

    def say(key, value):
        lines.append(f"\t{key} = {value}")

    def block(name, inside):
        lines.extend([f"\t{name} = {{", *(f"\t\t{line}" for line in inside), "\t}", ""])

    say("active count", 1 if job.pid else 0)
    say("path", job.path)
    say("type", "LaunchDaemon" if job.domain.kind == "system" else "LaunchAgent")
    say("state", job.state)
    lines.append("")
    say("program", job.program)
    block("arguments", job.arguments)
    if "WorkingDirectory" in plist:
        say("working directory", plist["WorkingDirectory"])
        lines.append("")
    for key, name in (("StandardOutPath", "stdout path"), ("StandardErrorPath", "stderr path")):
        if key in plist:
            say(name, plist[key])
    if job.domain.kind == "gui":
        block("inherited environment", [f"SSH_AUTH_SOCK => {job.domain.agent_socket}"])
    block("default environment", ["PATH => /usr/bin:/bin:/usr/sbin:/sbin"])
    block("environment", [f"{name} => {value}" for name, value in job.shown_environment()])
    if newer and job.pinned:
        lwcr = ['"reqs" => {', '\t"cdhash" => {', '\t\t"$in" => [', "\t\t\t0 = \t\t\t\t]", "\t}", "}", '"vers" => 1']
        block("LWCR", lwcr)
    if job.domain.kind == "gui":
        say("domain", f"{job.domain.name} [{job.domain.session}]")
    else:
        say("domain", job.domain.name)
    if job.domain.kind != "system":
        say("asid", job.domain.session)
    elif "UserName" in plist:
        say("username", plist["UserName"])
        lines.append("")
    say("minimum runtime", job.minimum_runtime)
    say("exit timeout", job.exit_timeout)
    if "Nice" in plist:
        say("nice", plist["Nice"])
    say("runs", job.runs)
    if job.pid:
        process(job, say, newer)
    say(*last_end(job))
    lines.append("")
    keep = plist.get("KeepAlive")
    if isinstance(keep, dict):
        names = {"SuccessfulExit": "successful exit", "Crashed": "after crash"}
        block("semaphores", [f"{names.get(key, key)} => {int(bool(value))}" for key, value in keep.items()])
    if newer and job.runs:
        for number, kind in enumerate(("resource", "jetsam")):
            # Its state is not the job's.
            inside = [f"ID = {900 + number}", f"type = {kind}", "state = active", "active count = 1"]
            block(f"{kind} coalition", [*inside, f"name = {job.label}"])
    say("spawn type", SPAWN_TYPES.get(plist.get("ProcessType"), "daemon (3)"))
    say("jetsam priority", 40)
    say("jetsam memory limit (active)", "(unlimited)")
    say("jetsam memory limit (inactive)", "(unlimited)")
    say("jetsamproperties category", "daemon")
    say("jetsam thread limit", 32)
    say("cpumon", "default")
    limits = [
        f"maxfiles ({name}) => {plist[key]['NumberOfFiles']}"
        for key, name in (("SoftResourceLimits", "soft"), ("HardResourceLimits", "hard"))
        if "NumberOfFiles" in plist.get(key, {})
    ]
    if limits:
        block("resource limits", limits)
        lines.append("")
    if job.job_state:
        say("job state", job.job_state)
    if job.mac.layout == 27:
        say("sanitizer flags", "0x0")
    if job.mac.layout != 14:
        lines.append("")
    else:
        block("probabilistic guard malloc policy", ["activation rate = 1/1000", "sample rate = 1/0"])
    say("properties", " | ".join(properties(job, newer)))
    lines.append("}")
    return "\n".join(lines) + "\n"


def process(job, say, newer):
    say("pid", job.pid)
    say("immediate reason", job.reason)
    for name in ("forks", "execs", "initialized", "trampolined"):
        say(name, 1)
    for name in ("started suspended", "proxy started suspended"):
        say(name, 0)
    if newer:
        say("checked allocations", "0 (queried = 1)")
        say("checked allocations reason", "no host")
        say("checked allocations flags", "0x0")


def last_end(job):
    kind, number = job.last_end
    if kind == "signal":
        return "last terminating signal", f"{SIGNALS.get(number, 'Unknown signal')}: {number}"
    if kind == "reason":
        return "last exit reason", number
    if kind == "never":
        return "last exit code", "(never exited)"
    return "last exit code", f"{number}: {EX_NAMES[number]}" if number in EX_NAMES else number


def properties(job, newer):
    words = []
    if job.plist.get("KeepAlive") is True:
        words.append("keepalive")
    if job.plist.get("RunAtLoad"):
        words.append("runatload")
    if "Program" not in job.plist:
        words.append("inferred program")
    if newer and job.pinned:
        words += ["managed LWCR", "has LWCR"]
    return words


def domain(domain):
    """A domain: only what tells that it is there, and its jobs."""
    kinds = {"gui": "login", "user": "user", "system": "system"}
    lines = [f"{domain.name} = {{", f"\ttype = {kinds[domain.kind]}", f"\thandle = {domain.session}", "\tservices = {"]
    for label, job in domain.jobs.items():
        kind, number = job.last_end
        status = {"never": "-", "signal": f"-{number}", "reason": "(cs)"}.get(kind, number)
        lines.append(f"\t\t{job.pid or 0:8} {status:>6} \t{label}")
    return "\n".join([*lines, "\t}", "}"]) + "\n"


def disabled(overrides, layout):
    """Since 13 in words, before as truth of being disabled."""
    words, tabs = (("true", "false"), "") if layout < 13 else (("disabled", "enabled"), "\t")
    lines = [f'{tabs}\t"{label}" => {words[0 if off else 1]}' for label, off in overrides.items()]
    return "\n".join([f"{tabs}disabled services = {{", *lines, f"{tabs}}}"]) + "\n"
