"""Say whether this machine can run the course: one line a thing, fine, or what is wrong and the command that mends it.

Exit status 0 if nothing is wrong, 1 otherwise. A note is what the lessons can do without.
"""

import argparse
import json
import os

from helpers import installation, machine
from helpers.installation import Verdict
from helpers.requirements import ROOT, pip


def main(arguments: "list[str]") -> int:
    """Print the verdicts."""
    parser = argparse.ArgumentParser("python -m helpers check", description=__doc__)
    model = os.environ.get("CLIP_MODEL", "tiny")
    parser.add_argument("--model", default=model, help="what you want to use; by default $CLIP_MODEL, else tiny")
    parser.add_argument("--json", action="store_true", help="print the verdicts as JSON")
    options = parser.parse_args(arguments)
    verdicts = judge(options.model)
    wrong = sum(verdict.state == "wrong" for verdict in verdicts)
    if options.json:
        print(json.dumps({"fine": not wrong, "verdicts": [verdict._asdict() for verdict in verdicts]}, indent=1))
    else:
        print(*verdicts, sep="\n")
        print(f"\n{wrong} wrong" if wrong else "\nall fine")
        if [verdict.text for verdict in verdicts].count(installation.MISSING) > 1:
            print("all that is missing at once:", pip("--editable", f"{ROOT}[clip,lab]"))
    return int(wrong > 0)


def judge(model: str) -> "list[Verdict]":
    """Judge everything, in the order in which one thing needs another.

    Args:
        model: the name of the model to be used. Room and network for its download are wrong if they lack; for any
            other model they are notes.
    """
    python = installation.python()
    if python.state == "wrong":
        return [python]
    facts = installation.facts()
    judged = [python, *installation.packages(facts), machine.device(facts["torch"])]
    judged += installation.clip(facts["clip"], judged)
    judged += [installation.helpers(facts["helpers"], judged), installation.kernel(facts["kernel"]), machine.tiny()]
    official = facts["helpers"].get("official", [])
    if official:
        judged += machine.official(official)
        name, mib, url = next((found for found in official if found[0] == model), official[0])
        needed = name == model and not machine.is_cached(url)
        judged += [machine.room(mib, needed), machine.network(url, needed)]
    judged.append(machine.processor(facts["helpers"]))
    return judged
