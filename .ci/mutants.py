"""Compares the mutants that survived with those that are accepted: a mutant is known by what is changed in which line, not by the
line's number. Arguments: cargo-mutants' outcomes.json, the accepted list."""

import collections
import json
import pathlib
import sys


def known_as(mutant):
    """file: change: line, with the changed piece in » «, up to where the line ends."""
    start, end = mutant["span"]["start"], mutant["span"]["end"]
    line = pathlib.Path(mutant["file"]).read_text().splitlines()[start["line"] - 1]
    first = start["column"] - 1
    last = end["column"] - 1 if end["line"] == start["line"] else len(line)
    change = mutant["name"].split(": ", 1)[1]
    return f'{mutant["file"]}: {change}: {(line[:first] + "»" + line[first:last] + "«" + line[last:]).strip()}'


outcomes_file, accepted_file = sys.argv[1:]
results = collections.defaultdict(set)
for outcome in json.load(open(outcomes_file))["outcomes"]:
    if outcome["scenario"] != "Baseline":
        mutant = outcome["scenario"]["Mutant"]
        results[outcome["summary"]].add(known_as(mutant))
        results["tested"].add(mutant["file"])
lines = pathlib.Path(accepted_file).read_text().splitlines()
accepted = {line for line in lines if line and not line.startswith("#")}

survivors = results["MissedMutant"]
unknown = sorted(survivors - accepted)
outdated = sorted(entry for entry in accepted - survivors if entry.split(": ")[0] in results["tested"])
for heading, entries in [("no test notices", unknown), ("accepted, and doesn't survive or isn't there any more", outdated)]:
    for entry in entries:
        print(f"mutants: {heading}: {entry}", file=sys.stderr)
counts = ", ".join(f"{len(results[kind])} {name}" for kind, name in [
    ("CaughtMutant", "caught"), ("Timeout", "never end"), ("Unviable", "don't compile"), ("MissedMutant", "survive")
])
print(f"mutants: {counts}, of which {len(survivors & accepted)} are accepted")
sys.exit(1 if unknown or outdated else 0)
