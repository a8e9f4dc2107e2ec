"""`sdr verify`: whether the stored figures hold, by making some of them again."""

import argparse
import sys
from datetime import date

from utils.commands import arguments

HELP = "check the stored results: train some runs again, test the checkpoints again"
RESUMES = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("tables", nargs="*", metavar="TABLE", help="tables whose runs and checkpoints are checked (default: all)")
    add("--model", help="only this model's rows")
    add(
        "--sample",
        type=arguments.whole(0),
        default=3,
        metavar="N",
        help="how many runs are trained again, drawn at random, the quickest first (default: %(default)s)",
    )
    add("--seed", type=arguments.seed, help="seed of the draw (default: today's date)")
    parser.epilog = "Exit status: 0 if everything holds, 1 if something is different, 2 if it cannot be checked."


def run(given: argparse.Namespace) -> None:
    from utils.evaluation import results, verified
    from utils.experiments import verification
    from utils.experiments.verification import Finding

    store = results.STORE
    verified.load(store)  # a damaged file is refused before the work, not after it
    seed = int(date.today().strftime("%Y%m%d")) if given.seed is None else given.seed
    stored = verification.stored_runs(given.tables, given.model, store)
    restricted = bool(given.tables or given.model)
    paths = [path for _, _, path in stored] if restricted else sorted(store.glob("*/*/seed-*.json"))
    wrong = list(verification.check_results(paths))
    print(f"results: {len(paths)} checked, {len(wrong)} whose metrics do not follow from their predictions")
    findings = list(wrong)

    def tell(finding: Finding) -> None:
        details = "".join(f"\n    {line}" for line in finding.details)
        print(f"  {finding.name}: {finding.verdict}{details}", flush=True)
        findings.append(finding)

    for finding in wrong:
        print(f"  {finding.details[0]}")
    print("checkpoints, tested again", flush=True)
    for folder in verification.committed_checkpoints({chosen.name for chosen, _, _ in stored} if restricted else None):
        tell(verification.check_checkpoint(folder))
    drawn = verification.draw(stored, given.sample, seed)
    print(f"runs, trained again: {len(drawn)} of {len(stored)}, drawn by --seed {seed}", flush=True)
    for chosen in drawn:
        tell(verification.train_again(*chosen, store))
    verification.finish()
    if drawn:
        print("`sdr report` shows the date in the tables")
    different = sum(finding.verdict == verified.DIFFERENT for finding in findings)
    print(f"{different} different" if different else "nothing is different")
    if different:
        sys.exit(1)
