"""Kinds of input: tables and configs."""

import gzip
import io
import json
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from bases import Base, train_here
from fuzzed_commands import without_serving
from mutations import TEXTS, Random, change_bytes, change_text, change_tree, pick, place
from trials import Trial, sdr


def tables(random: Random, base: Base, folder: Path) -> Trial:
    path, choice = (
        folder / pick(random, ("clips.tsv", "clips.tsv.gz", "clips.zip", "clips.xz", "clips")),
        random.integers(10),
    )
    if choice == 0:
        place(random, path)
    elif choice < 3:
        path.write_bytes(change_bytes(random, base.table.encode()))
    elif choice < 5:
        path.write_bytes(pick(random, (gzip.compress, _zipped))(base.table.encode()))
    elif choice < 8:
        path.write_text(change_text(random, base.table), encoding="utf-8", errors="surrogatepass", newline="")
    else:
        rows = [line.split("\t") for line in base.table.splitlines()]
        for _ in range(pick(random, (1, 3))):
            row = pick(random, rows)
            row[int(random.integers(len(row)))] = str(pick(random, (*TEXTS, str(base.folder), *pick(random, rows))))
        text = "\n".join("\t".join(row) for row in rows)
        path.write_text(text, encoding=pick(random, ("utf-8", "utf-8", "utf-16", "utf-8-sig")), errors="surrogatepass")
    match int(random.integers(7)):
        case 0:
            return Trial(sdr("data", "check", path, "--html", folder / "page.html", "--json"), (0, 1, 2))
        case 1:
            config = folder / "config.yaml"
            config.write_text(yaml.safe_dump(base.settings | {"data": {"metadata": str(path)}}))
            return Trial(partial(train_here, config, most_epochs=1))
        case 2:
            words = folder / "words.txt"
            if random.integers(6) == 0:
                place(random, words)
            else:
                text = "zero oh one two three four five six seven eight".replace(" ", "\n")
                words.write_text(change_text(random, text), encoding="utf-8", errors="surrogatepass", newline="")
            return Trial(partial(without_serving, ["record", folder / "corpus", "--words", words, "--terminal"]))
        case 3:
            corpus = folder / "corpus"
            corpus.mkdir()
            if path.name == "clips.tsv":
                path.rename(corpus / "metadata.tsv")
            return Trial(partial(without_serving, ["record", corpus, "--speaker", "eve", "--terminal"]))
    return Trial(sdr("evaluate", base.checkpoint, "--metadata", path, "--root", base.folder))


def _zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("clips.tsv", content)
    return file.getvalue()


def configs(random: Random, base: Base, folder: Path) -> Trial:
    path, choice = folder / pick(random, ("tiny.yaml", "tiny", "ti ny.yaml", "\x1b.yaml", ".yaml")), random.integers(12)
    settings: Any = pick(random, base.configs)
    if choice == 0:
        place(random, path)
    elif choice < 3:
        path.write_bytes(change_bytes(random, yaml.safe_dump(settings).encode()))
    elif choice < 7:
        text = change_text(random, yaml.safe_dump(settings, default_flow_style=bool(random.integers(2))))
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
    else:
        changed = change_tree(random, settings)
        if random.integers(3) == 0 and isinstance(changed, dict):
            changed = {"base": "base.yaml", "variants": change_tree(random, {"tiny": changed})}
            (folder / "base.yaml").write_text(yaml.safe_dump(base.settings))
        text = pick(random, (_yaml, json.dumps))(changed)
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
    return Trial(partial(train_here, path, most_epochs=1))


def _yaml(tree: Any) -> str:
    try:
        return yaml.dump(tree, allow_unicode=bool(len(str(tree)) % 2))
    except (RecursionError, ValueError):  # PyYAML cannot write what it can read
        return json.dumps(tree)
