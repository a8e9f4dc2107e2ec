"""AudioMNIST (Becker et al. 2018): 60 speakers, 50 repetitions of each digit by each speaker, 48 kHz.

It comes as one folder per speaker (`{speaker}/{digit}_{speaker}_{repetition}.wav`, from GitHub) or as the parquet files
of the mirror gilkeyio/AudioMNIST on the Hugging Face Hub. Both are turned into clips with a `metadata.tsv`.
"""

import re
import zipfile
from pathlib import Path, PurePosixPath

import pandas as pd

from utils import InputError
from utils.data.corpora.download import filled_from_archive
from utils.data.corpora.report import Report
from utils.data.metadata import COLUMNS, read_metadata, verify, write_table
from utils.data.splits import deal
from utils.files import atomic_folder, read_json, write_atomically
from utils.progress import Progress

COMMIT = "6c5eb77d8e9242d6ce31af807f0409d36a246f51"
ARCHIVE_URL = f"https://github.com/soerenab/AudioMNIST/archive/{COMMIT}.zip"
SPEAKER_02 = Path(__file__).with_name("audiomnist_02.tsv")  # the table of one speaker, for testing on another corpus
DISK_SPACE = 3_000_000_000  # bytes: the archive, about 1 GB, and the clips
PARTICULARS = "audioMNIST_meta.txt"  # JSON: age, gender, accent and so on of each speaker
NAME = re.compile(r"(?P<digit>\d)_(?P<speaker>[^_]+)_(?P<repetition>\d+)\.wav")
SPLIT_SEED = 42
# columns of the mirror; `audio` holds the bytes of a file and its name
PARQUET_COLUMNS = ("speaker_id", "audio", "digit")
SPEAKER_COLUMNS = ("gender", "age", "accent", "native_speaker", "origin")


def fetch(folder: Path, *, url: str = ARCHIVE_URL, commit: str = COMMIT) -> Report:
    """Make sure that a folder contains the corpus and its `metadata.tsv`.

    Folders of speakers that are already there are used as they are, and parquet files of the mirror are unpacked.
    Otherwise the archive is downloaded (about 1 GB; an interrupted download is resumed).

    Args:
        folder: the folder of the corpus.
        url: a zip archive of the repository, as GitHub packs it.
        commit: the commit that the archive must be of. GitHub records it in the archive.

    Raises:
        InputError: there is too little disk space, the archive cannot be downloaded or is damaged, or an error of
            `tabulate` or `unpack`. The folder is filled completely or not at all.
    """
    folder = Path(folder)
    table = folder / "metadata.tsv"
    if table.exists() and (folder / "clips").is_dir():  # unpacked from parquet files, which may be gone
        clips = read_metadata(table)
        return Report(table, len(clips), clips["speaker"].nunique())
    if not _speakers_in(folder):
        if parquet := sorted(folder.rglob("*.parquet")):
            return unpack(parquet, folder)
        with filled_from_archive(folder, url, DISK_SPACE) as (archive, filled):
            _unzip(archive, filled, url, commit)
            tabulate(filled)
    return tabulate(folder)


def tabulate(folder: Path) -> Report:
    """Write `metadata.tsv` for a corpus with one folder per speaker. Speakers are split 80/10/10 with seed 42.

    Fewer than three speakers cannot be split. All their clips are then in TEST. The clips in the table `SPEAKER_02`,
    the only ones with known checksums, are verified.

    Raises:
        InputError: a clip is empty or has another checksum, or its name is not `{digit}_{speaker}_{repetition}.wav`
            with the speaker of its folder; the file of particulars is not JSON, or lists a speaker without a folder.
    """
    folder = Path(folder)
    speakers = _speakers_in(folder)
    if not speakers:
        raise InputError(f"{folder}: no speakers' folders with clips in them")
    particulars, notes = _read_particulars(folder / PARTICULARS)
    missing = sorted(set(particulars) - set(speakers))
    if missing:
        raise InputError(
            f"{folder}: {PARTICULARS} lists speaker {', '.join(missing)}, who has no folder; "
            "fetch the corpus again into an empty folder, or remove them from that list"
        )
    unknown = sorted(set(speakers) - set(particulars))
    if particulars and unknown:
        notes.append(f"{PARTICULARS} does not list speaker {', '.join(unknown)}: their particulars are left empty")
    rows = []
    for speaker in speakers:
        for path in sorted(path for path in (folder / speaker).iterdir() if path.suffix.lower() == ".wav"):
            name = NAME.fullmatch(path.name)
            if name is None or name["speaker"] != speaker:
                raise InputError(f"{path}: the name is not {{digit}}_{speaker}_{{repetition}}.wav")
            if path.stat().st_size == 0:
                raise InputError(f"{path}: the file is empty (0 bytes); fetch it again")
            facts = {"identifier": path.stem, "speaker": speaker, "label": int(name["digit"])}
            rows.append(facts | {"file": f"{speaker}/{path.name}"} | particulars.get(speaker, {}))
    known = read_metadata(SPEAKER_02, complete=False)
    known["path"] = [folder / file.removeprefix("speech_data/audiomnist/") for file in known["file"]]
    verify(known[[path.exists() for path in known["path"]]])
    return _write_table(folder, rows, notes)


def unpack(files: list[Path], folder: Path) -> Report:
    """Unpack the mirror's parquet files to `clips/` and `metadata.tsv` in `folder`.

    Raises:
        InputError: pyarrow is not installed, or a file is not parquet, lacks a column or has an invalid row. No clip is
            written then.
    """
    rows, repetitions = [], dict[tuple[str, int], int]()
    with atomic_folder(folder / "clips", patterns=("*/?_*_*.wav",)) as filled:
        for file in Progress(files, "unpacking", unit="file"):
            for number, clip in enumerate(_read_parquet(file).to_dict("records"), start=1):
                speaker, digit = str(clip["speaker_id"]), clip["digit"]
                if digit not in range(10) or not clip["audio"] or not clip["audio"].get("bytes"):
                    raise InputError(f"{file}, row {number}: no digit from 0 to 9, or no audio")
                repetition = repetitions[speaker, digit] = repetitions.get((speaker, digit), -1) + 1
                name = f"{digit}_{speaker}_{repetition}.wav"
                (filled / speaker).mkdir(exist_ok=True)
                (filled / speaker / name).write_bytes(clip["audio"]["bytes"])
                known = {column: _plain(clip[column]) for column in SPEAKER_COLUMNS if column in clip}
                facts = {"identifier": Path(name).stem, "speaker": speaker, "label": int(digit)}
                rows.append(facts | {"file": f"clips/{speaker}/{name}"} | known)
    return _write_table(folder, rows, [])


def _speakers_in(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and any(path.glob("*.[wW][aA][vV]")))


def _write_table(folder: Path, rows: list[dict], notes: list[str]) -> Report:
    speakers = sorted({row["speaker"] for row in rows})
    if len(speakers) < 3:
        notes = [*notes, f"{len(speakers)} speakers are too few to split: all clips are in TEST"]
        splits = dict.fromkeys(speakers, "TEST")
    else:
        splits = deal(speakers, SPLIT_SEED)
    clips = [row | {"split": splits[row["speaker"]]} for row in rows]
    columns = [*COLUMNS, *(name for name in SPEAKER_COLUMNS if any(name in row for row in rows))]
    path = folder / "metadata.tsv"
    write_atomically(path, lambda new: write_table(new, columns, clips))
    read_metadata(path)
    return Report(path, len(clips), len(speakers), tuple(notes))


def _read_particulars(path: Path) -> tuple[dict[str, dict], list[str]]:
    """The particulars of each speaker, and notes on implausible ones, which are left empty."""
    if not path.exists():
        return {}, []
    known = read_json(path)
    if not isinstance(known, dict) or not all(isinstance(facts, dict) for facts in known.values()):
        raise InputError(f"{path}: not a JSON object with a speaker per key")
    notes = []
    for speaker, facts in known.items():
        age = str(facts.get("age", ""))
        if age and not (age.isdecimal() and int(age) < 120):
            notes.append(f"{path.name}: speaker {speaker} cannot be {age!r} years old: the age is left empty")
            facts["age"] = ""
        facts["native_speaker"] = facts.pop("native speaker", "")
    particulars = {
        speaker: {key: _plain(facts.get(key)) for key in SPEAKER_COLUMNS} for speaker, facts in known.items()
    }
    return particulars, notes


def _read_parquet(file: Path) -> pd.DataFrame:
    try:
        table = pd.read_parquet(file)
    except ImportError:
        raise InputError(f"{file}: reading parquet files needs pyarrow; `pip install pyarrow`") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: not a parquet file, or a damaged one ({str(error).splitlines()[0]})") from None
    for column in PARQUET_COLUMNS:
        if column not in table.columns:
            raise InputError(f"{file}: no column '{column}'; it has {', '.join(table.columns)}")
    return table


def _plain(value: object) -> str:
    """A cell of a TSV: one line of text without tabs; empty for missing values."""
    return "" if value is None or value != value else " ".join(str(value).split())


def _unzip(archive: Path, folder: Path, url: str, commit: str) -> None:
    """Extract the clips and particulars. They are found by file name; the archive's folders are ignored."""
    try:
        with zipfile.ZipFile(archive) as zipped:
            if zipped.comment.decode("ascii", "replace") != commit:
                raise InputError(f"{url}: not the archive of commit {commit[:7]}; it was deleted")
            for member in Progress(zipped.infolist(), "unpacking", unit="file"):
                path = PurePosixPath(member.filename)
                name = NAME.fullmatch(path.name)
                if name is not None:
                    (folder / name["speaker"]).mkdir(exist_ok=True)
                    (folder / name["speaker"] / path.name).write_bytes(zipped.read(member))  # checks its CRC
                elif path.name == PARTICULARS:
                    (folder / path.name).write_bytes(zipped.read(member))
    except (InputError, OSError):
        raise
    except Exception as error:  # a damaged archive raises BadZipFile, zlib.error, ValueError and more
        why = "is damaged or not a zip archive; it was deleted, run the same command again to download it again"
        raise InputError(f"{url}: the download {why} ({type(error).__name__})") from None
